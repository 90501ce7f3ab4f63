/** The figures as a table in Markdown, for the eye and for README.md. */
import type { Figures } from './figures.ts'

const fixed = (digits: number) => (x: number | null | undefined) => x?.toFixed(digits) ?? ''
const [whole, tenths, hundredths] = [fixed(0), fixed(1), fixed(2)]
const times = (x: number | null) => (x === null ? '' : `${x.toFixed(2)} ×`)
const gigabytes = (bytes: number | null) => (bytes === null ? '' : (bytes / 1e9).toFixed(2))

/** What was not measured is left out. */
export function summary(f: Figures): string {
  const rate = f.tokensPerSecond
  const tables = [
    [
      ['', 'Oddsmith', 'lm-eval float32', 'lm-eval bfloat16'],
      ['documents a second', ...row(f.documentsPerSecond, ['ours', 'fp32', 'bf16'], hundredths)],
      ['speed against it', '', times(f.speedup.fp32), times(f.speedup.bf16)],
      ['tokens computed', whole(f.tokens.ours), whole(f.tokens.harness), ''],
      ['peak, GB', ...row(f.memory, ['ours', 'fp32', 'bf16'], gigabytes)],
      ['peak with contexts of 2,048 tokens, GB', gigabytes(f.memory.ourLong), '', ''],
      [
        'from process start to the first scored batch, s',
        tenths(f.startSeconds.ours),
        tenths(f.startSeconds.harness),
        '',
      ],
      [
        'largest difference of a log-likelihood',
        '',
        f.agreement.maxLogLikelihoodDifference?.toExponential(1) ?? '',
        hundredths(f.bf16.maxLogLikelihoodDifference),
      ],
      [
        'documents that pick another choice',
        '',
        whole(f.agreement.flippedDocuments),
        whole(f.bf16.flippedDocuments),
      ],
      [
        'of the rate of products',
        f.gemmShare === null ? '' : `${whole(100 * f.gemmShare)}%`,
        '',
        '',
      ],
    ],
    [
      ['new tokens a second', 'Oddsmith', 'transformers', 'llama.cpp f32', 'llama.cpp f16'],
      ['1 sequence', ...row(rate, ['ours1', 'hf1', 'llamaF32', 'llamaF16'], tenths)],
      ['speed against it', '', ...row(f.generation, ['hfOne', 'llamaCpp', 'llamaCppF16'], times)],
      ['8 sequences', ...row(rate, ['ours8', 'hf8'], tenths), '', ''],
      ['speed against it', '', times(f.generation.hf), '', ''],
    ],
    [
      ['a base and two adapters', 'one pass over three'],
      ['time', hundredths(f.onePass.time)],
      ['peak, over the largest of three', hundredths(f.onePass.memory)],
    ],
  ]
  return tables
    .map(([head, ...rows]) => [
      head!,
      ...rows.filter(([, ...cells]) => cells.some((c) => c !== '')),
    ])
    .filter((rows) => rows.length > 1)
    .map(markdown)
    .join('\n\n')
}

const row = <T extends object, K extends keyof T>(
  of: T,
  keys: readonly K[],
  print: (value: T[K]) => string,
): string[] => keys.map((key) => print(of[key]))

function markdown([head, ...rows]: string[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head!), line(head!.map(() => '---')), ...rows.map(line)].join('\n')
}
