/** Once per test run: one Postgres for all test files, which find it in ODDSMITH_TEST_TEMPLATE. */
import { startTestServer, type TestServer } from './postgres.ts'

let server: TestServer | undefined

export async function globalSetup(): Promise<void> {
  server = await startTestServer()
  process.env['ODDSMITH_TEST_TEMPLATE'] = server.template
}

export async function globalTeardown(): Promise<void> {
  await server?.stop()
}
