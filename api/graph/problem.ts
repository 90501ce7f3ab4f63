/** Expected failures as types: members of the mutations' result unions, all of them a Problem with a message. */
import {
  Conflict,
  Forbidden,
  InvalidInput,
  LimitExceeded,
  NotFound,
  Problem,
  type Issue,
} from '../problem.ts'
import { builder } from './builder.ts'

const ProblemInterface = builder.interfaceRef<Problem>('Problem').implement({
  description: 'An expected failure.',
  fields: (t) => ({
    message: t.exposeString('message', {
      description: 'What was expected, what was got, and where.',
    }),
  }),
})

const IssueType = builder.objectRef<Issue>('Issue').implement({
  description: 'One thing that is wrong with an input.',
  fields: (t) => ({
    path: t.exposeStringList('path', {
      description: 'The place in the input, such as ["recipe", "beta"].',
    }),
    message: t.exposeString('message', {
      description: 'What was expected there, and what was got.',
    }),
  }),
})

builder.objectType(InvalidInput, {
  name: 'InvalidInput',
  description: 'The input cannot be used; nothing was started or changed.',
  interfaces: [ProblemInterface],
  fields: (t) => ({
    issues: t.field({
      type: [IssueType],
      description: 'Everything that is wrong with it.',
      resolve: (p) => [...p.issues],
    }),
  }),
})

builder.objectType(NotFound, {
  name: 'NotFound',
  description: 'What the input refers to does not exist.',
  interfaces: [ProblemInterface],
})

builder.objectType(Conflict, {
  name: 'Conflict',
  description:
    'The state of things does not allow it, or the idempotency key was used for something else.',
  interfaces: [ProblemInterface],
})

builder.objectType(Forbidden, {
  name: 'Forbidden',
  description: 'The caller is known, and may not do this.',
  interfaces: [ProblemInterface],
})

builder.objectType(LimitExceeded, {
  name: 'LimitExceeded',
  description: 'A limit of this installation is reached; try again later.',
  interfaces: [ProblemInterface],
})
