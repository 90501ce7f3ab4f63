import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'
import {
  getNamedType,
  isEnumType,
  isInputObjectType,
  isIntrospectionType,
  isObjectType,
  isInterfaceType,
  isSpecifiedScalarType,
  parse,
  validate,
} from 'graphql'
import { tabs } from '#api/graph/examples.ts'
import { printed, sdlFile } from '#api/graph/print.ts'
import { schema } from '#api/graph/schema.ts'

test('the committed SDL is the schema: node api/graph/print.ts writes it', async () => {
  assert.equal(await readFile(sdlFile, 'utf8'), printed())
})

test('every type, field, argument and value is described', () => {
  const bare: string[] = []
  const look = (name: string, { description }: { description?: string | null }) => {
    if (!description?.endsWith('.')) bare.push(name)
  }
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type)) continue
    look(type.name, type)
    if (isEnumType(type))
      for (const value of type.getValues()) look(`${type.name}.${value.name}`, value)
    if (isInputObjectType(type))
      for (const field of Object.values(type.getFields())) look(`${type.name}.${field.name}`, field)
    if (!isObjectType(type) && !isInterfaceType(type)) continue
    for (const field of Object.values(type.getFields())) {
      look(`${type.name}.${field.name}`, field)
      for (const arg of field.args) look(`${type.name}.${field.name}(${arg.name})`, arg)
    }
  }
  assert.deepEqual(bare, [])
})

test('every mutation answers with a union of what it makes and what can go wrong', () => {
  const problem = schema.getType('Problem')
  for (const { name, type } of Object.values(schema.getMutationType()!.getFields())) {
    const union = getNamedType(type)
    assert.ok('getTypes' in union, name)
    const kinds = union
      .getTypes()
      .map((member) => member.getInterfaces().includes(problem as never))
    assert.equal(kinds.filter((isProblem) => !isProblem).length, 1, name)
    assert.ok(kinds.length > 1, name)
  }
})

test('GraphiQL’s example tabs are valid', () => {
  for (const { query } of tabs) assert.deepEqual(validate(schema, parse(query)), [])
})
