/** One scenario in a process of its own: the engine's libraries are chosen before it starts. */
import { appendFileSync } from 'node:fs'
import { scenarios, type Scenario } from './scenarios.ts'

const note = (line: object) =>
  appendFileSync(process.env.CUDA_STUB_LOG!, `${JSON.stringify(line)}\n`)

const { name, argument } = JSON.parse(process.argv[2]!) as Scenario
try {
  await scenarios[name](argument as never, note)
} catch (error) {
  note({ error: error instanceof Error ? error.message : String(error) })
}
