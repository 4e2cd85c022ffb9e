from .point import Point as Point
