/** What an instruction is: arguments that are checked once, and a verdict on any text. */
import { z } from 'zod'

/** Whether a text follows the instruction. The text has something beside space. */
export type Check = (response: string) => boolean

export type Instruction = {
  /** Throws ZodError for other arguments than it takes. */
  readonly build: (kwargs: Readonly<Record<string, unknown>>) => Check
}

/** An instruction with these arguments, no others; the keys are IFEval's. */
export const instruction = <Shape extends z.ZodRawShape>(
  shape: Shape,
  build: (kwargs: z.output<z.ZodObject<Shape>>) => Check,
): Instruction => {
  const schema = z.strictObject(shape)
  return { build: (kwargs) => build(schema.parse(kwargs) as z.output<z.ZodObject<Shape>>) }
}

/** A number of things. IFEval drops 0 as an argument that is not given. */
export const count = z.int().min(1).max(1_000_000)

export const relation = z.enum(['less than', 'at least'])

export const holds = (found: number, than: z.output<typeof relation>, asked: number): boolean =>
  than === 'less than' ? found < asked : found >= asked
