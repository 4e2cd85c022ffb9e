"""AutoLRS: Automatic Learning-Rate Schedule by Bayesian Optimization on the Fly (arXiv 2105.10762).

- `autolrs`: AutoLRS (Jin, Zhou, Zhao, Zhu, Guo, Canini, Krishnamurthy, "AutoLRS: Automatic
  Learning-Rate Schedule by Bayesian Optimization on the Fly", ICLR 2021, arXiv 2105.10762): no
  schedule is given, only an interval of rates; training finds its rates on the way.
- `claim`: The claim of arXiv 2105.10762: a schedule found on the way, from an interval of rates
  alone, is as good as the best constant rate, and forecasts of short trials rank the rates.
- `forecast`: Where a loss curve will be: y ~ a exp(b x) + c with b < 0, fitted to the first steps
  and read off at a later one.
- `run`: AutoLRS in a run: its steps of searching are charged as steps, like those of training;
  the answer is what training has reached.
- `search`: Which learning rate to try next: Bayesian optimisation of log(rate) by a Gaussian
  process and its lower confidence bound. Ask and tell.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
