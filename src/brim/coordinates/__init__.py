"""What a model is sampled in (effects integrated out, adapted to the data, or as they are) and the way back.

May import: model, terms, infer and what lies below.
"""
