"""keras 3.15.1 ``SimpleRNN``, ``GRU`` and ``LSTM`` on the torch backend, batch first, with masks.

A Keras layer casts its input to its own dtype, so there is one layer per dtype, all with the
weights drawn in float32. Lengths become a right-padding mask. Expected: pass in float32 and
bfloat16; inaccurate in float64, where ``keras.ops.matmul`` returns float32 on this backend (keras
issue 23704) and the layer hands out float64 with single precision inside.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import torch

from dynprop.check import Layer


def _layer(layer_type, input_size, hidden_size):
    def build(dtype):
        layer = layer_type(
            hidden_size,
            return_sequences=True,
            return_state=True,
            dtype=dtype,
            kernel_initializer=keras.initializers.GlorotUniform(seed=0),
            recurrent_initializer=keras.initializers.GlorotUniform(seed=1),
            bias_initializer=keras.initializers.RandomNormal(stddev=0.3, seed=2),
        )
        layer.build((None, None, input_size))
        return layer

    layers = {"float32": build("float32")}

    def at(dtype):
        name = str(dtype).removeprefix("torch.")
        if name not in layers:
            layers[name] = build(name)
            layers[name].set_weights(layers["float32"].get_weights())
        return layers[name]

    def forward(x, state=None, lengths=None):
        mask = None
        if lengths is not None:
            mask = torch.arange(x.shape[1]) < torch.as_tensor(lengths)[:, None]
        y, *state = at(x.dtype)(x, initial_state=state, mask=mask, training=False)
        return y, state

    def step(x_t, state=None):
        cell = at(x_t.dtype).cell
        if state is None:
            state = cell.get_initial_state(x_t.shape[0])
        return cell(x_t, state, training=False)

    return Layer(
        forward=forward,
        step=step,
        input_size=input_size,
        time_axis=1,
        batch_axis=0,
        state_batch_axis=0,
        framework="torch",
    )


def simple_rnn(input_size=3, hidden_size=8):
    return _layer(keras.layers.SimpleRNN, input_size, hidden_size)


def gru(input_size=3, hidden_size=8):
    return _layer(keras.layers.GRU, input_size, hidden_size)


def lstm(input_size=3, hidden_size=8):
    return _layer(keras.layers.LSTM, input_size, hidden_size)
