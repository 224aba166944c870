"""Builders of torch.nn RNN, GRU and LSTM with their options (torch 2.13).

Each is called as ``builder(input_size=3, hidden_size=8)``. Expected: pass. The bidirectional ones
have no resume, step and causal-lag laws: not applicable. ``packed_*`` add ``lengths`` by
``pack_padded_sequence``, which refuses a row of length 0 (torch raises a RuntimeError that says so;
the adapter hands it on as a ValueError, which counts as a refusal).
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dynprop.check import Layer


def rnn_tanh(input_size=3, hidden_size=8):
    return nn.RNN(input_size, hidden_size)


def rnn_relu(input_size=3, hidden_size=8):
    return nn.RNN(input_size, hidden_size, nonlinearity="relu")


def rnn_deep(input_size=3, hidden_size=8):
    return nn.RNN(input_size, hidden_size, num_layers=3, batch_first=True)


def rnn_bidirectional(input_size=3, hidden_size=8):
    return nn.RNN(input_size, hidden_size, bidirectional=True)


def gru(input_size=3, hidden_size=8):
    return nn.GRU(input_size, hidden_size)


def gru_deep(input_size=3, hidden_size=8):
    return nn.GRU(input_size, hidden_size, num_layers=2, batch_first=True)


def gru_bidirectional(input_size=3, hidden_size=8):
    return nn.GRU(input_size, hidden_size, num_layers=2, bidirectional=True)


def lstm(input_size=3, hidden_size=8):
    return nn.LSTM(input_size, hidden_size)


def lstm_deep(input_size=3, hidden_size=8):
    return nn.LSTM(input_size, hidden_size, num_layers=2, batch_first=True)


def lstm_projected(input_size=3, hidden_size=8):
    return nn.LSTM(input_size, hidden_size, num_layers=2, proj_size=max(1, hidden_size // 2))


def lstm_bidirectional(input_size=3, hidden_size=8):
    return nn.LSTM(input_size, hidden_size, bidirectional=True)


def _packed(module):
    def forward(x, state=None, lengths=None):
        if lengths is None:
            return module(x, state)
        lengths = torch.as_tensor(lengths, dtype=torch.int64, device="cpu")
        try:
            packed = pack_padded_sequence(x, lengths, module.batch_first, enforce_sorted=False)
        except RuntimeError as error:
            if "greater than 0" not in str(error):
                raise
            raise ValueError(str(error)) from error
        y, state = module(packed, state)
        time = x.shape[1 if module.batch_first else 0]
        y, _ = pad_packed_sequence(y, batch_first=module.batch_first, total_length=time)
        return y, state

    return Layer(
        module,
        forward=forward,
        input_size=module.input_size,
        time_axis=1 if module.batch_first else 0,
        batch_axis=0 if module.batch_first else 1,
        state_batch_axis=1,
        framework="torch",
    )


def packed_rnn(input_size=3, hidden_size=8):
    return _packed(rnn_tanh(input_size, hidden_size))


def packed_gru(input_size=3, hidden_size=8):
    return _packed(gru_deep(input_size, hidden_size))


def packed_lstm(input_size=3, hidden_size=8):
    return _packed(lstm_projected(input_size, hidden_size))


def packed_lstm_bidirectional(input_size=3, hidden_size=8):
    return _packed(lstm_bidirectional(input_size, hidden_size))
