import assert from 'node:assert/strict'
import test from 'node:test'
import { duplicateKey, jsonErrorOffset } from '#gpu-runtime/files/json.ts'

const valid = '{"a": [1, -2.5e+3, true, false, null, "x\\u00e9\\n", {}, []], "b": {"c": ""}}'

test('a valid text with one character replaced goes wrong there, or where the token begins', () => {
  for (let i = 0; i < valid.length; i++) {
    const text = `${valid.slice(0, i)}\u0001${valid.slice(i + 1)}`
    assert.throws(() => JSON.parse(text))
    const at = jsonErrorOffset(text)
    assert.ok(at <= i && i - at < 12, `${i}: ${at}`) // a text or number that never becomes one is reported where it begins
  }
})

test('every beginning of a valid text ends too early', () => {
  for (let length = 0; length < valid.length; length++) {
    const at = jsonErrorOffset(valid.slice(0, length))
    assert.ok(at <= length && length - at < 12, `${length}: ${at}`)
  }
})

test('only the outermost object is looked at for keys given twice', () => {
  assert.equal(duplicateKey('{"a": {"a": 1, "a": 2}, "b": ["a", "a"], "c": "{\\"a\\": "}'), null)
  assert.equal(duplicateKey('{"a": 1, "b": {"c": 2}, "\\u0061" : 3}'), 'a')
})
