/** Reading request bodies without believing what they say about themselves. */
import { TooLarge } from './problem.ts'

/** The text of a body of at most `most` bytes; the declared length is looked at first and not believed. Throws TooLarge. */
export async function readText(request: Request, most: number): Promise<string> {
  const tooLarge = () => new TooLarge(`expected at most ${most} bytes`)
  if (Number(request.headers.get('content-length') ?? 0) > most) throw tooLarge()
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > most) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
