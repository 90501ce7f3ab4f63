"""ORPO and log-likelihoods in plain PyTorch, row by row, unpadded: it checks TRL."""

import torch


def token_logps(model, prompt, answer):
    """Log-probability of every token of prompt + answer but the first, and the logits [T, V]."""
    ids = torch.tensor([prompt + answer])
    logits = model(ids, use_cache=False).logits[0]
    return logits[:-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0], logits


def orpo(model, pairs, beta, nll_over):
    """
    Loss and parts for one micro-batch of pairs (Hong et al. 2024, eq. 6). `nll_over` is 'prompt and
    answer' (TRL) or 'answer': the chosen tokens whose mean negative log-probability, over the whole
    micro-batch, is the NLL; or 'answer by sequence' (LLaMA-Factory): the mean over pairs of each
    answer's mean. A pair's `lead` says how many first tokens of chosen and rejected are prompt.
    """
    nll, rows, logits = [], [], {'chosen': [], 'rejected': []}
    for pair in pairs:
        lead = pair.get('lead', {'chosen': 0, 'rejected': 0})
        start = len(pair['prompt']) - 1 + lead['chosen']  # the prediction of the answer's first token
        other = len(pair['prompt']) - 1 + lead['rejected']
        chosen, chosen_logits = token_logps(model, pair['prompt'], pair['chosen'])
        rejected, rejected_logits = token_logps(model, pair['prompt'], pair['rejected'])
        nll.append(chosen if nll_over == 'prompt and answer' else chosen[start:])
        a, b = chosen[start:].mean(), rejected[other:].mean()
        log_odds = (a - b) - (torch.log1p(-a.exp()) - torch.log1p(-b.exp()))
        rows.append((a, b, log_odds, chosen, rejected))
        logits['chosen'].append((chosen_logits.detach(), start))
        logits['rejected'].append((rejected_logits.detach(), other))
    ratio = torch.nn.functional.logsigmoid(torch.stack([row[2] for row in rows]))
    by_sequence = nll_over == 'answer by sequence'
    nll_loss = -(torch.stack([row[0] for row in rows]) if by_sequence else torch.cat(nll)).mean()
    loss = nll_loss - beta * ratio.mean()
    per_pair = {
        'chosen_logps': [row[0].item() for row in rows],
        'rejected_logps': [row[1].item() for row in rows],
        'log_odds': [row[2].item() for row in rows],
        'log_odds_ratio': ratio.tolist(),
        'chosen_token_logps': [row[3].tolist() for row in rows],
        'rejected_token_logps': [row[4].tolist() for row in rows],
    }

    def mean(select):
        parts = {side: [select(*row) for row in logits[side]] for side in logits}
        return {side: torch.cat(part).mean().item() for side, part in parts.items()}

    means = {
        'predicting': mean(lambda x, start: x[:-1]),
        'predicting_answer': mean(lambda x, start: x[start:-1]),
        'every_real_position': mean(lambda x, start: x),
    }
    scalars = {'loss': loss.item(), 'nll_loss': nll_loss.item()}
    return loss, {**scalars, 'per_pair': per_pair, 'logits_means': means}


@torch.no_grad()
def score(model, documents):
    """Fill in each continuation's token log-probabilities, their sum, and if it is greedy."""
    for document in documents:
        start = len(document['context']) - 1
        for continuation in document['continuations']:
            logps, logits = token_logps(model, document['context'], continuation['ids'])
            continuation['sum'] = logps[start:].sum().item()
            best = logits[start:-1].argmax(-1).tolist()
            continuation['greedy'] = best == continuation['ids']
            continuation['tokens'] = logps[start:].tolist()
    return documents
