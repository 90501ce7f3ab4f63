"""Rows in Parquet as `datasets` 5.2 writes them and, two columns in other codecs, pyarrow 26; and the same rows in JSON.

OMP_NUM_THREADS=1 .reference/bin/python test/golden/rows.py        about five seconds; writes test/golden/rows/
"""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, List, Value

here = Path(__file__).parent / "rows"
here.mkdir(exist_ok=True)

rows = [
    {
        "id": 2**40 + i,
        "question": text,
        "choices": {"text": texts, "label": list("ABCDE")[: len(texts)]},
        "mc1_targets": {"choices": texts, "labels": [int(j == i) for j in range(len(texts))]},
        "kwargs": [{"num_words": None, "relation": "at least"}, {"num_words": i, "relation": None}][: i % 3],
        "scores": [0.5 * i, -1.25e-3],
        "nested": [[i], [], [1, 2]][i % 2 :],
        "checked": i % 2 == 0,
        "comment": None if i % 2 else f"row {i}",
        "label": i % 2,
    }
    for i, (text, texts) in enumerate(
        [
            ("Which is bigger?", ["the ant", "the horse"]),
            ("Was ist größer als 🚀?\n\t\"alles\"", ["ja", "nein", "vielleicht", ""]),
            ("", ["x", "y"]),
            ("one more", ["a", "b", "c", "d", "e"]),
            ("the last of another row group", ["no", "yes"]),
        ]
    )
]

features = Features(
    {
        "id": Value("int64"),
        "question": Value("string"),
        "choices": {"text": List(Value("string")), "label": List(Value("string"))},
        "mc1_targets": {"choices": List(Value("string")), "labels": List(Value("int32"))},
        "kwargs": List({"num_words": Value("int64"), "relation": Value("string")}),
        "scores": List(Value("float64")),
        "nested": List(List(Value("int8"))),
        "checked": Value("bool"),
        "comment": Value("large_string"),
        "label": ClassLabel(names=["no", "yes"]),
    }
)

(here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
dataset = Dataset.from_list(rows, features=features)
dataset.to_parquet(here / "datasets.parquet", batch_size=2)
table = dataset.data.table.replace_schema_metadata(None).select(["question", "choices"])
for codec in ("none", "gzip", "brotli", "lz4", "zstd"):
    pq.write_table(table, here / f"{codec}.parquet", compression=codec, row_group_size=2,
                   data_page_version="2.0" if codec == "zstd" else "1.0", use_dictionary=codec != "gzip")
