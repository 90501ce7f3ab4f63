/** The model families that the runtime can build, by `model_type` of config.json. */

export const families = {
  llama: { title: 'Llama' },
  mistral: { title: 'Mistral' },
  qwen2: { title: 'Qwen2' },
  qwen3: { title: 'Qwen3' },
  smollm3: { title: 'SmolLM3' },
  olmo2: { title: 'OLMo 2' },
  phi3: { title: 'Phi-3' },
  gemma2: { title: 'Gemma 2' },
  gemma3_text: { title: 'Gemma 3' },
  granite: { title: 'Granite' },
} as const satisfies Record<string, { readonly title: string }>

export type Family = keyof typeof families

export const isFamily = (name: string): name is Family => Object.hasOwn(families, name)
