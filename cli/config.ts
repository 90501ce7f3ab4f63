/** Where the api is and how it is opened: ODDSMITH_URL and ODDSMITH_KEY. */
import { z } from 'zod'
import { connect, type Client } from './client.ts'
import { Failure } from './exit.ts'

const Environment = z.object({
  ODDSMITH_URL: z
    .url({ protocol: /^https?$/, error: 'expected an address such as http://127.0.0.1:4000' })
    .default('http://127.0.0.1:4000'),
  ODDSMITH_KEY: z
    .string({ error: 'expected an API key (ods_...): the first start of the api prints one' })
    .regex(/^ods_\S+$/, 'expected an API key that begins with ods_'),
})

/** Throws Failure naming each variable that is wrong. */
export function connectByEnvironment(env: NodeJS.ProcessEnv): Client {
  const parsed = Environment.safeParse(env)
  if (parsed.success) {
    const { ODDSMITH_URL, ODDSMITH_KEY } = parsed.data
    return connect(ODDSMITH_URL.replace(/\/+$/, ''), ODDSMITH_KEY)
  }
  const issues = parsed.error.issues.map(({ path, message }) => ({
    path: path.map(String),
    message,
  }))
  const keyOnly = issues.every(({ path }) => path[0] === 'ODDSMITH_KEY')
  throw new Failure(keyOnly ? 'NO_KEY' : 'USAGE', 'the environment is incomplete', issues)
}
