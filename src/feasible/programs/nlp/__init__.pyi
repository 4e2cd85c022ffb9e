from .nlp import NLP as NLP, NLPState as NLPState
from .order import ORDER as ORDER, order as order
