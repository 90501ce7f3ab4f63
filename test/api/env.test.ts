import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import test from 'node:test'
import { readConfig } from '#api/env.ts'

test('an empty environment is a whole configuration: embedded database, loopback, one run at a time', () => {
  const config = readConfig({})
  assert.deepEqual(
    [config.home, config.databaseUrl, config.host, config.port, config.concurrency, config.threads],
    [resolve('.oddsmith'), null, '127.0.0.1', 4000, 1, null],
  )
  assert.deepEqual(config.limits, { bodyBytes: 16 << 20, artifactBytes: 2 ** 36, queuedRuns: 1000 })
})

test('an empty variable is an absent one, and folders become absolute', () => {
  const config = readConfig({
    DATABASE_URL: '',
    ODDSMITH_ROOTS: 'models:/data',
    ODDSMITH_SHARED: '/shared',
  })
  assert.equal(config.databaseUrl, null)
  assert.deepEqual(config.roots, [resolve('models'), '/data'])
  assert.deepEqual(config.benchmarkRoots.slice(-2), [
    '/shared/data/nous-normalised',
    '/shared/data',
  ])
})

test('one error names every wrong variable, what was expected and what was got, but no password', () => {
  const wrong = {
    ODDSMITH_PORT: '70000',
    ODDSMITH_CONCURRENCY: 'two',
    ODDSMITH_LOG: 'loud',
    DATABASE_URL: 'mysql://me:secret@host/db',
  }
  assert.throws(
    () => readConfig(wrong),
    ({ message }: Error) => {
      assert.match(message, /ODDSMITH_PORT: expected a whole number from 0 to 65535, got "70000"/)
      assert.match(
        message,
        /ODDSMITH_CONCURRENCY: expected a whole number from 0 to 1000, got "two"/,
      )
      assert.match(message, /ODDSMITH_LOG: expected one of trace, .*, got "loud"/)
      assert.match(message, /DATABASE_URL: expected an address such as postgres:/)
      assert.doesNotMatch(message, /secret/)
      return true
    },
  )
})
