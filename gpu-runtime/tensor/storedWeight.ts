/** Where a frozen tensor lies: a byte range of a .safetensors file, mapped by onnxruntime without a copy. */
export type StoredWeight = {
  /** Absolute path. */
  readonly file: string
  readonly offset: number
  readonly bytes: number
  readonly shape: readonly number[]
  readonly dtype: 'float32' | 'bfloat16' | 'float16'
}
