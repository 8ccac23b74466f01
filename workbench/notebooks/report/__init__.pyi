from .write import build as build
