/** Everything that comes from the environment, parsed once; the rest of the api receives it as a value. */
import { homedir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { z } from 'zod'

/** The folder that holds package.json. */
export const repository = resolve(import.meta.dirname, '..')

const whole = (name: string, low: number, high: number) =>
  z.string().transform((text, ctx) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    if (value >= low && value <= high) return value
    ctx.addIssue(`${name}: expected a whole number from ${low} to ${high}, got "${text}"`)
    return z.NEVER
  })

const url = (name: string, protocol: RegExp, example: string) =>
  z.url({
    protocol,
    error: (issue) => `${name}: expected an address such as ${example}, got "${hide(issue.input)}"`,
  })

/** An address without the password that may be in it. */
const hide = (value: unknown): string => String(value).replace(/\/\/[^@/]*@/, '//…@')

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

const Environment = z.object({
  ODDSMITH_HOME: z.string().default('.oddsmith'),
  DATABASE_URL: url(
    'DATABASE_URL',
    /^postgres(ql)?$/,
    'postgres://user@host:5432/oddsmith',
  ).optional(),
  ODDSMITH_HOST: z.string().default('127.0.0.1'),
  ODDSMITH_PORT: whole('ODDSMITH_PORT', 0, 65535).prefault('4000'),
  ODDSMITH_ROOTS: z.string().optional(),
  ODDSMITH_BENCHMARKS: z.string().optional(),
  ODDSMITH_SHARED: z.string().optional(),
  ODDSMITH_CONCURRENCY: whole('ODDSMITH_CONCURRENCY', 0, 1000).prefault('1'),
  ODDSMITH_LEASE_SECONDS: whole('ODDSMITH_LEASE_SECONDS', 1, 3600).prefault('30'),
  ODDSMITH_MAX_ATTEMPTS: whole('ODDSMITH_MAX_ATTEMPTS', 1, 100).prefault('3'),
  ODDSMITH_THREADS: whole('ODDSMITH_THREADS', 1, 1024).optional(),
  ODDSMITH_PUBLIC_URL: url(
    'ODDSMITH_PUBLIC_URL',
    /^https?$/,
    'https://oddsmith.example.org',
  ).optional(),
  ODDSMITH_LOG: z
    .enum(levels, {
      error: (issue) =>
        `ODDSMITH_LOG: expected one of ${levels.join(', ')}, got "${String(issue.input)}"`,
    })
    .default('info'),
  ODDSMITH_BODY_BYTES: whole('ODDSMITH_BODY_BYTES', 1024, 1 << 30).prefault(String(16 << 20)),
  ODDSMITH_ARTIFACT_BYTES: whole('ODDSMITH_ARTIFACT_BYTES', 1024, 2 ** 50).prefault(
    String(2 ** 36),
  ),
  ODDSMITH_QUEUED_RUNS: whole('ODDSMITH_QUEUED_RUNS', 1, 1_000_000).prefault('1000'),
  ODDSMITH_HUB: z
    .enum(['on', 'off'], {
      error: (issue) => `ODDSMITH_HUB: expected on or off, got "${String(issue.input)}"`,
    })
    .optional(),
  HF_ENDPOINT: url('HF_ENDPOINT', /^https?$/, 'https://huggingface.co').optional(),
  HF_TOKEN: z
    .string()
    .startsWith('hf_', 'HF_TOKEN: expected a token that begins with hf_')
    .optional(),
  HF_HOME: z.string().optional(),
  HF_HUB_CACHE: z.string().optional(),
  XDG_CACHE_HOME: z.string().optional(),
})

/** The Hugging Face Hub, or what answers like it. */
export type Hub = {
  /** Such as https://huggingface.co, without a slash at its end. */
  readonly endpoint: string
  readonly token: string | null
  /** Folder of the cache; absolute. */
  readonly cache: string
}

export type Config = {
  /** Where the api keeps its database, artifacts and caches; absolute. */
  readonly home: string
  /** Null: the embedded Postgres under `home`. */
  readonly databaseUrl: string | null
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /** Models and datasets are only read from inside these folders; absolute. */
  readonly roots: readonly string[]
  /** Folders in which a task's rows file is looked for, in this order; absolute. */
  readonly benchmarkRoots: readonly string[]
  /** Runs that this api keeps going at once; 0 for an api that starts none. */
  readonly concurrency: number
  readonly leaseSeconds: number
  readonly maxAttempts: number
  /** Engine threads of a run whose spec names none; null leaves it to the runtime. */
  readonly threads: number | null
  /** How runtimes reach this api; null: at the address it listens on. */
  readonly publicUrl: string | null
  readonly logLevel: (typeof levels)[number]
  /** Where rows that no benchmark folder has are fetched from; null: nowhere. */
  readonly hub: Hub | null
  readonly limits: {
    /** Largest request body other than an artifact, in bytes. */
    readonly bodyBytes: number
    /** Largest artifact, in bytes. */
    readonly artifactBytes: number
    /** Runs that may wait at once. */
    readonly queuedRuns: number
  }
}

/** Reads the environment; one error names every variable that is not what was expected. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  // An empty variable is the same as an absent one: compose files and CI write `X=`.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const parsed = Environment.safeParse(given)
  if (!parsed.success) {
    throw new Error(`environment: ${parsed.error.issues.map((issue) => issue.message).join('; ')}`)
  }
  const e = parsed.data
  const home = resolve(e.ODDSMITH_HOME)
  const folders = (list: string | undefined) =>
    (list ?? '')
      .split(delimiter)
      .filter(Boolean)
      .map((f) => resolve(f))
  return {
    home,
    databaseUrl: e.DATABASE_URL ?? null,
    host: e.ODDSMITH_HOST,
    port: e.ODDSMITH_PORT,
    roots:
      e.ODDSMITH_ROOTS === undefined
        ? [...new Set([process.cwd(), repository, home])]
        : folders(e.ODDSMITH_ROOTS),
    benchmarkRoots: [
      ...folders(e.ODDSMITH_BENCHMARKS),
      join(repository, 'demo'),
      ...(e.ODDSMITH_SHARED === undefined
        ? []
        : ['data/nous-normalised', 'data'].map((folder) => resolve(e.ODDSMITH_SHARED!, folder))),
    ],
    concurrency: e.ODDSMITH_CONCURRENCY,
    leaseSeconds: e.ODDSMITH_LEASE_SECONDS,
    maxAttempts: e.ODDSMITH_MAX_ATTEMPTS,
    threads: e.ODDSMITH_THREADS ?? null,
    publicUrl: e.ODDSMITH_PUBLIC_URL?.replace(/\/$/, '') ?? null,
    logLevel: e.ODDSMITH_LOG,
    hub: hubOf(e),
    limits: {
      bodyBytes: e.ODDSMITH_BODY_BYTES,
      artifactBytes: e.ODDSMITH_ARTIFACT_BYTES,
      queuedRuns: e.ODDSMITH_QUEUED_RUNS,
    },
  }
}

/** Off unless asked for in one of three ways, so that a machine without a network says at once what is missing. */
function hubOf(e: z.infer<typeof Environment>): Hub | null {
  const wanted = e.HF_TOKEN !== undefined || e.HF_ENDPOINT !== undefined
  if ((e.ODDSMITH_HUB ?? (wanted ? 'on' : 'off')) === 'off') return null
  const home = e.HF_HOME ?? join(e.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface')
  return {
    endpoint: (e.HF_ENDPOINT ?? 'https://huggingface.co').replace(/\/+$/, ''),
    token: e.HF_TOKEN ?? null,
    cache: resolve(e.HF_HUB_CACHE ?? join(home, 'hub')),
  }
}
