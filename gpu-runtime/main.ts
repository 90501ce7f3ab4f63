/** The runtime: one process, one attempt of one run. It knows a URL and a token, and measures. */
import { connect } from './client.ts'
import { FormatError, NonFinite } from './error.ts'
import { work } from './job.ts'
import { Canceled, Reporter } from './report.ts'

/** Someone sent SIGTERM: write a checkpoint, say so, go. */
class Terminated extends Error {
  override name = 'Terminated'
}

const terminated = new AbortController()
process.on('SIGTERM', () => terminated.abort(new Terminated('SIGTERM')))
process.on('SIGINT', () => terminated.abort(new Terminated('SIGINT')))

const client = connect(process.env)
const job = await client.job()
const report = new Reporter(client, { leaseSeconds: job.leaseSeconds })
const signal = AbortSignal.any([report.signal, terminated.signal])
const canceled = () => report.signal.reason instanceof Canceled

try {
  const ending = await work(job, client, report, signal)
  if (ending.type === 'finished') report.event('finished', { summary: ending.summary })
  else
    report.event('interrupted', { reason: canceled() ? 'CANCELED' : 'SIGTERM', step: ending.step })
} catch (error) {
  if (signal.aborted && error === signal.reason) {
    report.event('interrupted', { reason: canceled() ? 'CANCELED' : 'SIGTERM', step: null })
  } else if (error instanceof FormatError) {
    report.event('failed', { code: 'INPUT', message: error.message })
  } else if (error instanceof NonFinite) {
    if (error.step) {
      const { step, values } = error.step
      const sent = Object.entries(values).map(([name, v]) => [name, Number.isFinite(v) ? v : null])
      report.event('metrics', { step, values: Object.fromEntries(sent) })
    }
    report.event('failed', { code: 'NON_FINITE', message: error.message })
  } else {
    const { message, stack } = error instanceof Error ? error : new Error(String(error))
    report.event('log', { level: 'error', message: stack ?? message })
    report.event('failed', { code: 'ENGINE', message })
  }
}
// Rejects when the run is no longer ours or the api is gone for good: nothing is owed then but the exit.
await report.close().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exit(1)
  },
)
