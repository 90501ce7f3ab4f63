/** Where a frozen tensor lies: byte ranges of .safetensors files, mapped by onnxruntime without a copy. */
export type ByteRange = {
  /** Absolute path. */
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

/** Element by element. */
export type DenseWeight = ByteRange & {
  readonly shape: readonly number[]
  readonly dtype: 'float32' | 'bfloat16' | 'float16'
}

/** In four bits, doubly quantized (quantization/nf4.ts, quantization/absmax.ts); the last block of each kind is padded. */
export type Nf4Weight = {
  readonly dtype: 'nf4'
  readonly shape: readonly number[]
  /** uint8 [blocks, 32]. */
  readonly codes: ByteRange
  readonly absmax: {
    /** uint8 [nested blocks, 256]. */
    readonly codes: ByteRange
    /** float32 [nested blocks]. */
    readonly scales: ByteRange
    /** float32 [1]. */
    readonly offset: ByteRange
  }
}

export type StoredWeight = DenseWeight | Nf4Weight
