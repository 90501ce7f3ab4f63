/** Runs of the engine by token budget: neighbours share a run while they fit. Never changes the loss, whose weights are inputs. */

/** Consecutive items whose sizes add up to at most `budget`; an item larger than the budget gets a run of its own. */
export function byBudget<T>(items: readonly T[], size: (item: T) => number, budget: number): T[][] {
  const runs: T[][] = []
  let room = 0
  for (const item of items) {
    const tokens = size(item)
    if (runs.length === 0 || tokens > room) {
      runs.push([])
      room = budget
    }
    runs.at(-1)!.push(item)
    room -= tokens
  }
  return runs
}

/** `byBudget` over items that are still to be made; holds one run. */
export async function* streamByBudget<T>(
  items: AsyncIterable<T>,
  size: (item: T) => number,
  budget: number,
): AsyncGenerator<T[]> {
  let run: T[] = []
  let room = budget
  for await (const item of items) {
    const tokens = size(item)
    if (run.length > 0 && tokens > room) {
      yield run
      run = []
      room = budget
    }
    run.push(item)
    room -= tokens
  }
  if (run.length > 0) yield run
}
