/**
 * The part of ONNX's protobuf messages that we write. Field numbers are those of onnx.proto3 (IR version 9).
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
 */
import protobuf from 'protobufjs'

type Field = readonly [id: number, type: string, rule?: 'repeated']

const messages: Record<string, Record<string, Field>> = {
  ModelProto: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    graph: [7, 'GraphProto'],
    opsetImport: [8, 'OperatorSetIdProto', 'repeated'],
  },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  GraphProto: {
    node: [1, 'NodeProto', 'repeated'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto', 'repeated'],
    input: [11, 'ValueInfoProto', 'repeated'],
    output: [12, 'ValueInfoProto', 'repeated'],
    valueInfo: [13, 'ValueInfoProto', 'repeated'],
  },
  NodeProto: {
    input: [1, 'string', 'repeated'],
    output: [2, 'string', 'repeated'],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'AttributeProto', 'repeated'],
    domain: [7, 'string'],
  },
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    g: [6, 'GraphProto'],
    floats: [7, 'float', 'repeated'],
    ints: [8, 'int64', 'repeated'],
    type: [20, 'int32'],
  },
  TensorProto: {
    dims: [1, 'int64', 'repeated'],
    dataType: [2, 'int32'],
    name: [8, 'string'],
    rawData: [9, 'bytes'],
    externalData: [13, 'StringStringEntryProto', 'repeated'],
    dataLocation: [14, 'int32'],
  },
  StringStringEntryProto: { key: [1, 'string'], value: [2, 'string'] },
  ValueInfoProto: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TypeProto: { tensorType: [1, 'TensorType'] },
  TensorType: { elemType: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'Dimension', 'repeated'] },
  Dimension: { dimValue: [1, 'int64'], dimParam: [2, 'string'] },
}

const root = new protobuf.Root()
for (const [name, fields] of Object.entries(messages)) {
  const type = new protobuf.Type(name)
  for (const [field, [id, kind, rule]] of Object.entries(fields))
    type.add(new protobuf.Field(field, id, kind, rule))
  root.add(type)
}
const model = root.lookupType('ModelProto')

/** TensorProto.DataType. */
export const elementTypes = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const
/** Raw data of a tensor: `values` in a type, little-endian, rounded to the nearest. */
export function encodeValues(values: readonly number[], type: ElementType): Uint8Array {
  const arrays: { readonly [T in ElementType]: () => ArrayBufferView } = {
    float32: () => Float32Array.from(values),
    float16: () => Float16Array.from(values),
    bfloat16: () => Uint16Array.from(values, bfloat16),
    uint8: () => Uint8Array.from(values),
    bool: () => Uint8Array.from(values),
    int32: () => Int32Array.from(values),
    int64: () => BigInt64Array.from(values, BigInt),
  }
  return new Uint8Array(arrays[type]().buffer)
}

/** The upper half of a float32, rounded to nearest even. */
function bfloat16(value: number): number {
  const [bits] = new Uint32Array(Float32Array.of(value).buffer)
  return (bits! + 0x7fff + ((bits! >>> 16) & 1)) >>> 16
}

/** Element types by our names, which are numpy's. */
export type ElementType = keyof typeof elementTypes

/** AttributeProto; `type` is its AttributeType: 1 FLOAT, 2 INT, 3 STRING, 5 GRAPH, 7 INTS. */
export type Attribute =
  | { name: string; type: 1; f: number }
  | { name: string; type: 2; i: number }
  | { name: string; type: 3; s: Uint8Array }
  | { name: string; type: 5; g: Graph }
  | { name: string; type: 7; ints: readonly number[] }

/** NodeProto. An absent or empty domain is ai.onnx. */
export type Node = {
  readonly opType: string
  readonly domain?: string
  readonly name?: string
  readonly input: readonly string[]
  readonly output: readonly string[]
  readonly attribute?: readonly Attribute[]
}

/**
 * TensorProto: either `rawData`, little-endian, or `externalData` with dataLocation 1 (a byte range of a file). `dataType`
 * as in `elementTypes`.
 */
export type Initializer = {
  readonly name: string
  readonly dims: readonly number[]
  readonly dataType: number
  readonly rawData?: Uint8Array
  readonly externalData?: readonly { key: string; value: string }[]
  readonly dataLocation?: number
}

/** ValueInfoProto. Equal `dimParam`s are equal dims; without a shape, even the rank is open. */
export type ValueInfo = {
  readonly name: string
  readonly type: {
    tensorType: {
      elemType: number
      shape?: { dim: readonly ({ dimValue: number } | { dimParam: string })[] }
    }
  }
}

/** GraphProto. `valueInfo` are the values between inputs and outputs. */
export type Graph = {
  readonly name: string
  readonly node: readonly Node[]
  readonly initializer?: readonly Initializer[]
  readonly input: readonly ValueInfo[]
  readonly output: readonly ValueInfo[]
  readonly valueInfo?: readonly ValueInfo[]
}

/** ONNX bytes of a graph, ai.onnx opset 18 and com.microsoft 1. */
export function encodeModel(graph: Graph): Uint8Array {
  const opsetImport = [
    { domain: '', version: 18 },
    { domain: 'com.microsoft', version: 1 },
  ]
  return model
    .encode(model.fromObject({ irVersion: 9, producerName: 'oddsmith', graph, opsetImport }))
    .finish()
}
