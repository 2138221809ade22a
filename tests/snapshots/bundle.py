def record(world):
    pass
