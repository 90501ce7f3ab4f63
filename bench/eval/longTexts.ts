/** Texts from GSM8K's questions: prompts to go on from, and contexts as long as wanted. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Text } from '#gpu-runtime/text/text.ts'
import type { Document } from './documents.ts'

async function questions(shared: string): Promise<string[]> {
  const file = await readFile(join(shared, 'data/gsm8k/test.jsonl'), 'utf8')
  const rows = file.split('\n').filter(Boolean)
  return rows.map(
    (line) => `Question: ${(JSON.parse(line) as { question: string }).question}\nAnswer:`,
  )
}

/** The first `count`, as token ids. */
export const prompts = async (shared: string, text: Text, count: number): Promise<number[][]> =>
  (await questions(shared)).slice(0, count).map((question) => text.encode(question))

/** Documents with different contexts of about `tokens` tokens and four choices of ten and more. */
export async function longDocuments(
  shared: string,
  text: Text,
  tokens: number,
): Promise<Document[]> {
  const all = await questions(shared)
  const documents: Document[] = []
  for (let at = 0; documents.length < 6;) {
    let context = ''
    while (text.encode(context).length < tokens) context += `${all[at++]}\n\n`
    const choices = [' a number', ' two numbers', ' no number', ' any number']
    documents.push({
      task: 'long',
      index: documents.length,
      requests: choices.map((c) => [context, `${c} that nobody has ever thought of before`]),
    })
  }
  return documents
}
