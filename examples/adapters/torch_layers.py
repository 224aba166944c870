"""Builders of torch.nn RNN, GRU and LSTM with their options (torch 2.13): no adapter is needed.

Each is called as ``builder(input_size=3, hidden_size=8)``. Padded rows are judged through
``pack_padded_sequence``, lengths 1 and up (it refuses 0). Expected: pass. The bidirectional ones
have no resume, step and causal-lag laws: not applicable.
"""

from torch import nn


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
