/** The 25 kinds of instruction of IFEval (Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models"). */
import * as arrangement from './arrangement.ts'
import * as changeCase from './changeCase.ts'
import * as format from './format.ts'
import type { Instruction } from './instruction.ts'
import * as keywords from './keywords.ts'
import { responseLanguage } from './language.ts'
import * as length from './length.ts'

export const instructions = {
  'keywords:existence': keywords.existence,
  'keywords:frequency': keywords.frequency,
  'keywords:forbidden_words': keywords.forbiddenWords,
  'keywords:letter_frequency': keywords.letterFrequency,
  'language:response_language': responseLanguage,
  'length_constraints:number_sentences': length.numberSentences,
  'length_constraints:number_paragraphs': length.numberParagraphs,
  'length_constraints:number_words': length.numberWords,
  'length_constraints:nth_paragraph_first_word': length.nthParagraphFirstWord,
  'detectable_content:number_placeholders': format.numberPlaceholders,
  'detectable_content:postscript': format.postscript,
  'detectable_format:number_bullet_lists': format.numberBulletLists,
  'detectable_format:constrained_response': format.constrainedResponse,
  'detectable_format:number_highlighted_sections': format.numberHighlightedSections,
  'detectable_format:multiple_sections': format.multipleSections,
  'detectable_format:json_format': format.jsonFormat,
  'detectable_format:title': format.title,
  'combination:two_responses': arrangement.twoResponses,
  'combination:repeat_prompt': arrangement.repeatPrompt,
  'startend:end_checker': arrangement.endChecker,
  'startend:quotation': arrangement.quotation,
  'change_case:capital_word_frequency': changeCase.capitalWordFrequency,
  'change_case:english_capital': changeCase.englishCapital,
  'change_case:english_lowercase': changeCase.englishLowercase,
  'punctuation:no_comma': arrangement.noComma,
} satisfies Record<string, Instruction>
