"""Mixed models by (restricted) maximum likelihood, as lme4 has them: ``lmer``, ``glmer``, ``nlmer``."""
