"""Verdicts of lm-evaluation-harness on texts made for every kind of instruction, and on the recorded responses: ifeval.json.

    NLTK_DATA=DIR ODDSMITH_SHARED=../shared python test/golden/ifeval.py        DIR/tokenizers/punkt_tab/english is NLTK's

needs lm-eval 0.4.13, nltk 3.10.4, langdetect 1.0.9 and immutabledict. langdetect is seeded with 0, as the product is.
"""

import json
import os
from pathlib import Path

from langdetect import DetectorFactory
from lm_eval.tasks.ifeval import instructions_util, utils

DetectorFactory.seed = 0

EN = "The committee met on Tuesday to discuss the budget, and after a long debate it was approved by everyone."
LONG = " ".join(f"word{i}" for i in range(20))
LANGUAGES = {
    "de": "Der Ausschuss traf sich am Dienstag, um über den Haushalt zu sprechen, und stimmte ihm nach langer Debatte zu.",
    "hi": "समिति की बैठक मंगलवार को बजट पर चर्चा करने के लिए हुई और लंबी बहस के बाद इसे मंजूरी दी गई।",
    "mr": "समितीची बैठक मंगळवारी अर्थसंकल्पावर चर्चा करण्यासाठी झाली आणि दीर्घ चर्चेनंतर तो मंजूर करण्यात आला.",
    "ne": "समितिको बैठक मंगलबार बजेटमाथि छलफल गर्न बस्यो र लामो बहसपछि यो स्वीकृत भयो।",
    "ko": "위원회는 화요일에 예산을 논의하기 위해 모였고 긴 토론 끝에 모두가 승인했다.",
    "ja": "委員会は火曜日に予算について話し合うために集まり、長い議論の末に全員が承認した。",
    "vi": "Ủy ban họp vào thứ Ba để thảo luận về ngân sách và sau một cuộc tranh luận dài, mọi người đã thông qua.",
    "sw": "Kamati ilikutana Jumanne kujadili bajeti na baada ya mjadala mrefu iliidhinishwa na kila mtu.",
    "fa": "کمیته روز سه‌شنبه برای بررسی بودجه تشکیل جلسه داد و پس از بحثی طولانی آن را تصویب کرد.",
    "ur": "کمیٹی کا اجلاس منگل کو بجٹ پر بحث کے لیے ہوا اور طویل بحث کے بعد سب نے اسے منظور کر لیا۔",
    "bg": "Комисията се събра във вторник, за да обсъди бюджета, и след дълъг дебат той беше одобрен от всички.",
    "ru": "Комитет собрался во вторник, чтобы обсудить бюджет, и после долгих споров его одобрили все.",
    "ro": "Comitetul s-a întâlnit marți ca să discute bugetul și, după o dezbatere lungă, a fost aprobat de toți.",
}
relations = ("less than", "at least")


def numbered(name, key, values, texts, **rest):
    return [(name, {key: value, **rest}, text) for value in values for text in texts]


SENTENCES = [
    "One.", "One. Two.", "Dr. Smith went to Washington. He met Sen. Warren at 3 p.m. They talked.",
    "It cost $3.50 in the U.S. Prices rose.", "1. Business\n2. Credit\n3. Zimmer", "What?! No!! \"Yes.\" He left.",
    "(He left.) She stayed.", "He said “stop.” Then he left. ‘Go.’ Now.", "Wait... what? And so on... Then nothing.",
    "J. S. Bach wrote it. B. Smith did not.", "He lives in the U.S. It is big.", "version 2.0 is out. v3 is not.",
    "no capital. after the stop. i.e. nothing", "* One.\n* Two.\n\n**Three.** Four.", " . One", "a.b.c.d", "e.g. this. Mr. X. etc. The end.",
    "第一句。第二句。", "हाँ। नहीं। Yes. No.", "Tail without stop", "One.\n\nTwo.\n \nThree", "It rained in Jan. It snowed in Feb. and Mar. Then sun.",
    "No. 5 is alive. No. 6 is not.", "The end .\x1cNext. \x85Other", "»So.« «Ja.» Ende.", "Hi!Now.Then?Yes", "A. B. C. D.", "- - . - -- ... . . . end",
]
WORDS = ["", "one two", "don't can't", "e\u0301te\u0301", "हिन्दी भाषा", "snake_case kebab-case", "x² Ⅷ ①", "a\u200db a\u200bb", "你好 世界", "emoji 😀 here", LONG, "***", "1,000.5"]
CAPITALS = ["NASA and IBM", "I CANNOT GO", "WELL-KNOWN U.S. ABC.", "A B C", "ÄÖÜ ΣΑΣ", "\"QUOTED\" (PAREN) [X] {Y} <Z>", "DON'T STOP", "IT'S 'TIS 'TWAS", "GONNA GOTTA WANNA go", "ABC--DEF A-B", "ǅ Ǆ", "H2O 3D X9", "`` A '' B", "THE END.", "$USD 50% #TAG @ME &CO", "A:B A,B 1:2 1,2", "NO… WAIT", "ÀB»C”D’E", "'S 'LL N'T", "‘AB’ „CD“", "AB.\")  ", "D'YE LEMME GIMME MORE'N"]
BULLETS = ["", "* a", "* a\n* b", "- a\n- b\n- c", "*a\n**b\n***", "*", "*\n* a", "*\n\n* a", "\n\n  * a\n\n\n\t- b", "--\n---", "* a\r\n* b", "x * a\nx - b", "*\n*\n*\n*", "** a", "\u2028* a", "*\ta", "- \n* ", "• a", "text\n*", "*\n"]
HIGHLIGHTS = ["", "*a*", "**a**", "* *", "** **", "****", "*a* *b*", "**a** **b**", "*a\nb*", "***a***", "*a**b*", "**a*b**", "* a * b *", "*\x1c*", "*\ufeff*", "**  x  **"]
SECTIONS = ["Section 1", "Section 1\nSection 2", "SECTION 1 SECTION 2", "Section1Section2Section3", "Section  1", "Section I", "Section १ Section ²", "subsection 1 Section 22", "Section\n1 Section\u00a02", "## Section 1:"]
DIVIDED = ["a***b", "a *** b", "***a***b***", "a******b", "a\n***\nb\n***\nc", "a****b", "*** a", "a\n\n* * *\n\nb", " *** ", "a***\x1c***b", "a"]
PARAGRAPHS = ["One\n\nTwo", "One\n\nTwo\n\n", "\n\nOne\n\nTwo", "One\n\n\n\nTwo", "one\n \ntwo", "'\"One\" two\n\nthree", "One, two\n\nOne. x", "one\n\nONE's", "One-two\n\none", "\"'One\n\none", "One\n\n'one'", "One\n\nΣΑΣ one", "one\n\n\ufeffone", "x\n\none\n\ny", "one\n\nOne\n\none"]
PLACEHOLDERS = ["", "[a]", "[a][b]", "[[a]]", "[a\nb]", "[]", "[a] [b", "] [", "[ [a] ]", "![x](y) - [ ] done"]
POSTSCRIPT = ["P.S. x", "p.s. x", "P. S. x", "PS: x", "P.S x", "P.P.S x", "P.P.S. x", "p. p. s", "P.P. S", "P.\u00a0S.", "a\nP.S.\nb", "stop.spp.s."]
TITLES = ["<<a>>", "<< >>", "<<>>", "<<<a>>>", "<a>", "<<a\nb>>", "x <<a>> y <<b>>", "<<<>>>", "<<>>>>", ">>a<<", "<< <b> >>", "<<\u00a0>>", "<<< >>"]
JSON = ["{}", "[1, 2]", "```json\n{\"a\": 1}\n```", "```JSON\n{}```", "```Json {}```", "```\n1\n```", "```json```", "{'a': 1}", "NaN", "[NaN, -Infinity, Infinity]", "-NaN", "1NaN", "tru", "true", "\"a\nb\"", "\"NaN \\\" Infinity\"", "{\"a\": 1,}", "\ufeff{}", "{} x", "01", "1e5", "\"\\ud800\"", "``````json\n1```", "\u00a0 {} \x1c", "+Infinity", "\"unclosed NaN", "{\"a\": Infinity}", "\"\t\""]
OPTIONS = ["My answer is yes.", "my answer is yes.", "**My answer is no.**", "My answer is maybe", "x My answer is maybe. y", "My answer is\nyes."]
TWO = ["a******b", "******a******b******", "a******a", "a ****** a ", "a******b******c", "a************b", "a***b", "a\n******\nb", "******", "a******", "a*******b"]
REPEAT = ["Say it. Then this", "say IT. then", " \nSay it.", "Said it.", "\"Say it.\"", "x\nSay it. y", "*Say* it.", "Say it", "\ufeffSay it.", "Say it.\x1c"]
END = ["x. The End!", "the END!  ", "\"The End!\"", "The End!\"\"", "The End! x", "The End!*", "**The End!**", "The End!\nx", "The End!\n\n", "\" The End! \"", "x\n\"The End!\" \""]
QUOTED = ["\"a\"", "\"", "\"\"", " \"a\" ", "“a”", "\"a", "'a'", "x\n\"a\"", "*\"a\"*", "\"a\"\n\"b\""]
KEYWORDS = ["alpha beta", "ALPHA Betas", "alphabet", "al pha beta", "al.pha", "αλφα ΑΛΦΑ", "straße STRASSE ſ", "x alpha\nbeta", "", "alpha_beta", "alpha-beta", "क alpha", "éalpha beta", "e\u0301alpha beta", "K k \u212a", "alpha alpha ALPHA alphaalpha", "a*l*pha beta", "ad hoc", "ad-hoc", "ADXHOC", "\u0130", "\u0131", "µ ς"]
LETTERS = ["", "aAa", "bbb", "ÀàAa", "İIiı", "ＡＡ", "a\nA\n*a*", "ßẞ", "AAAAA"]

CASES = [
    *numbered("length_constraints:number_sentences", "num_sentences", (1, 2, 3, 4, 5, 6), SENTENCES, relation="at least"),
    *numbered("length_constraints:number_sentences", "num_sentences", (2, 3), SENTENCES, relation="less than"),
    *numbered("length_constraints:number_words", "num_words", (1, 2, 3, 4, 20, 21), WORDS, relation="at least"),
    *numbered("length_constraints:number_words", "num_words", (3, 20, 21), WORDS, relation="less than"),
    *numbered("length_constraints:number_paragraphs", "num_paragraphs", (1, 2, 3), DIVIDED),
    *[("length_constraints:nth_paragraph_first_word", {"num_paragraphs": n, "nth_paragraph": k, "first_word": w}, t) for n, k, w in ((2, 1, "one"), (2, 2, "One"), (3, 3, "one"), (2, 2, "ΣΑΣ")) for t in PARAGRAPHS],
    *numbered("change_case:capital_word_frequency", "capital_frequency", (1, 2, 3, 4, 5, 6), CAPITALS, capital_relation="at least"),
    *numbered("change_case:capital_word_frequency", "capital_frequency", (2,), CAPITALS, capital_relation="less than"),
    *[(f"change_case:english_{case}", {}, t) for case in ("capital", "lowercase") for t in (EN, EN.upper(), EN.lower(), "YES", "NO WAY", "123", "HELLO\nWORLD AND ALL", "1. ǅ", "ok", LANGUAGES["de"].upper(), LANGUAGES["de"].lower(), "x\n" + EN.upper(), "*" + EN.lower(), "THE CAT SAT ON THE MAT AND LOOKED AT ME", "MY PLAN: EAT, SLEEP, READ", "www https://example.com/x?y")],
    *[("language:response_language", {"language": code}, t) for code, t in LANGUAGES.items() if code != "ro"],
    *[("language:response_language", {"language": "en"}, t) for t in (EN, *LANGUAGES.values(), "123 456", "Hello", "Mail a@b.example or https://example.com/seite", LANGUAGES["de"] + "\n" + EN, EN + " " + LANGUAGES["hi"], EN + " " + LANGUAGES["ko"])],
    ("language:response_language", {"language": "vi"}, "U\u0309y ban ho\u0323p va\u0300o thu\u031b\u0301 Ba"),
    *numbered("detectable_content:number_placeholders", "num_placeholders", (1, 2), PLACEHOLDERS),
    *numbered("detectable_content:postscript", "postscript_marker", ("P.S.", "P.P.S", "N.B."), [*POSTSCRIPT, "n.b. x", "nxbx"]),
    *numbered("detectable_format:number_bullet_lists", "num_bullets", (1, 2, 3), BULLETS),
    *numbered("detectable_format:number_highlighted_sections", "num_highlights", (1, 2, 3, 4), HIGHLIGHTS),
    *numbered("detectable_format:multiple_sections", "num_sections", (1, 2, 3), SECTIONS, section_spliter="Section"),
    *numbered("detectable_format:multiple_sections", "num_sections", (2,), SECTIONS, section_spliter=" SECTION "),
    *[("detectable_format:title", {}, t) for t in TITLES],
    *[("detectable_format:json_format", {}, t) for t in JSON],
    *[("detectable_format:constrained_response", {}, t) for t in OPTIONS],
    *[("combination:two_responses", {}, t) for t in TWO],
    *numbered("combination:repeat_prompt", "prompt_to_repeat", ("Say it.",), REPEAT),
    *numbered("startend:end_checker", "end_phrase", ("The End!", " The End! "), END),
    *[("startend:quotation", {}, t) for t in QUOTED],
    *[("punctuation:no_comma", {}, t) for t in ("", "a, b", "a b", "a，b", "a\n,", "a、b", ",\na")],
    *numbered("keywords:existence", "keywords", (["alpha", "beta"], ["al.pha"], [" alpha"], ["STRASSE", "s"], ["k"], ["αλφα"], ["क"], ["i"], ["μ", "Σ"]), KEYWORDS),
    *numbered("keywords:forbidden_words", "forbidden_words", (["alpha", "beta"], ["ad.hoc"], ["alpha."], ["k"], ["-"]), KEYWORDS),
    *[("keywords:frequency", {"keyword": w, "frequency": n, "relation": r}, t) for w in ("alpha", " beta ", "a.") for n in (1, 3) for r in relations for t in KEYWORDS],
    *[("keywords:letter_frequency", {"letter": w, "let_frequency": n, "let_relation": r}, t) for w in ("a", "A", "i") for n in (1, 4) for r in relations for t in LETTERS],
]


def verdict(instruction, kwargs, text):
    doc = {"key": 0, "instruction_id_list": [instruction], "prompt": "", "kwargs": [kwargs]}
    result = utils.process_results(doc, [text])
    return result["inst_level_strict_acc"][0] + 2 * result["inst_level_loose_acc"][0]


def recorded(model):
    """A digit for each instruction of each response; ? where the harness takes a random letter to count."""
    folder = Path(os.environ["ODDSMITH_SHARED"]) / "data/ifeval"
    docs = [json.loads(line) for line in open(folder / "input_data.jsonl")]
    rows = [json.loads(line) for line in open(folder / f"m-ifeval-results/{model}.strict.jsonl")]
    digits = ""
    for doc, row in zip(docs, rows, strict=True):
        result = utils.process_results(doc, [row["response"]])
        for kwargs, strict, loose in zip(doc["kwargs"], result["inst_level_strict_acc"], result["inst_level_loose_acc"]):
            digits += "?" if not kwargs.get("letter", "a").isalpha() else str(strict + 2 * loose)
    return digits


groups = {}
for instruction, kwargs, text in CASES:
    groups.setdefault(json.dumps([instruction, kwargs]), {})[text] = int(verdict(instruction, kwargs, text))
texts = list(dict.fromkeys(text for cases in groups.values() for text in cases))
result = {
    "made": "lm-eval 0.4.13, nltk 3.10.4, langdetect 1.0.9 seeded with 0",
    "texts": texts,
    "sentences": [[text, instructions_util.nltk.sent_tokenize(text)] for text in SENTENCES],
    "words": [[text, instructions_util.nltk.word_tokenize(text)] for text in CAPITALS],
    "recorded": {
        model: recorded(model)
        for model in ("hugging-quants__Meta-Llama-3.1-8B-Instruct-AWQ-INT4", "mistralai__Mistral-7B-Instruct-v0.3")
    },
    "cases": [[*json.loads(key), [[texts.index(text), found] for text, found in cases.items()]] for key, cases in groups.items()],
}
out = Path(__file__).parent / "ifeval.json"
out.write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")
print(sum(len(c[2]) for c in result["cases"]), "verdicts,", out.stat().st_size, "bytes")
