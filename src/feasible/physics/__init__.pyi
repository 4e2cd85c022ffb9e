from .errors import InvalidShape as InvalidShape, NotConverged as NotConverged
