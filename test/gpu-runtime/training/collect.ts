/** Events of a training, and those of one kind among them. */
import { train, type Training, type TrainEvent } from '#gpu-runtime/training/train.ts'

/** All that happens, or what does when it is interrupted once step `until` is done. */
export async function collect(
  training: Omit<Training, 'signal'>,
  until = Infinity,
): Promise<TrainEvent[]> {
  const stop = new AbortController()
  const events: TrainEvent[] = []
  for await (const event of train({ ...training, signal: stop.signal })) {
    events.push(event)
    if (event.type === 'progress' && event.done === until) stop.abort()
  }
  return events
}

export const of = <T extends TrainEvent['type']>(events: readonly TrainEvent[], type: T) =>
  events.filter((e): e is Extract<TrainEvent, { type: T }> => e.type === type)
