"""Small networks of every kind that pruning must cope with."""

import torch
from torch import nn
from torch.nn import functional as F


class MLP(nn.Module):
    def __init__(self, act=nn.ReLU):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(8, 12), act(), nn.Linear(12, 10), act(), nn.Linear(10, 3)
        )

    def forward(self, x):
        return self.net(x)


class Block(nn.Module):
    def __init__(self, i, o, stride=1):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.c2, self.b2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.down = (
            nn.Identity()
            if i == o
            else nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
        )

    def forward(self, x):
        return F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))) + self.down(x))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.b1, self.b2, self.fc = (
            nn.Conv2d(1, 6, 3, padding=1),
            Block(6, 6),
            Block(6, 8, 2),
            nn.Linear(8, 3),
        )

    def forward(self, x):
        return self.fc(self.b2(self.b1(F.relu(self.stem(x)))).mean((2, 3)))


class Concatenating(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.n = (
            nn.Conv2d(1, 5, 3, padding=1),
            nn.Conv2d(5, 4, 3, padding=1),
            nn.BatchNorm2d(9),
        )
        self.c, self.fc = nn.Conv2d(9, 6, 3, padding=1), nn.Linear(6 * 16, 3)

    def forward(self, x):
        h = F.relu(self.a(x))
        z = F.relu(self.n(torch.cat([h, F.relu(self.b(h))], 1)))
        return self.fc(F.max_pool2d(F.relu(self.c(z)), 2).flatten(1))


class Depthwise(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.d, self.m = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6)
        self.p, self.fc = nn.Conv2d(6, 8, 1), nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(
            F.relu6(self.p(F.relu6(self.m(self.d(F.relu6(self.n(self.a(x)))))))).mean((2, 3))
        )


class Transformer(nn.Module):
    def __init__(self, d=16, heads=4):
        super().__init__()
        self.n_heads, self.pos = heads, nn.Parameter(torch.randn(6, d))
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.f1, self.f2, self.out = nn.Linear(d, 32), nn.Linear(32, d), nn.Linear(d, 3)

    def forward(self, x):
        x = x + self.pos
        b, t, _ = x.shape
        q, k, v = (
            layer(self.n1(x)).view(b, t, self.n_heads, -1).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        x = x + self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, -1))
        return self.out((x + self.f2(F.gelu(self.f1(self.n2(x))))).mean(1))


IMAGES, ROWS, TOKENS = (1, 8, 8), (8,), (6, 16)
NETWORKS = {
    "mlp": (MLP, ROWS, {}),
    "residual": (Residual, IMAGES, {}),
    "concatenating": (Concatenating, IMAGES, {}),
    "depthwise": (Depthwise, IMAGES, {}),
    "transformer": (Transformer, TOKENS, {"heads": {"q": "n_heads"}}),
}


def made(name, seed=0, n=100):
    """A network whose batch statistics are not those of a new one, n inputs, and the settings that
    find its groups.
    """
    make, shape, more = NETWORKS[name]
    torch.manual_seed(seed)
    model, x = make(), torch.randn(n, *shape)
    with torch.no_grad():
        model.train()(x)
    return model, x, more
