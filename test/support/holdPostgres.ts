/** Starts the embedded Postgres of a home, says its address, and ends when stdin does: `node holdPostgres.ts <home> [exit code]`. */
import { startPostgres } from '#api/postgres.ts'

const server = await startPostgres(process.argv[2]!)
console.log(server.url)
for await (const _ of process.stdin);
process.exitCode = Number(process.argv[3] ?? 0)
await server.stop()
