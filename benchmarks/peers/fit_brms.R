# brms with rstan: the C++ program is compiled apart from sampling.
source(file.path(dirname(sub("--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "job.R"))

started <- now()
suppressPackageStartupMessages(library(brms))
imported <- now()
rows <- read_rows()
loaded <- now()
before <- peak_bytes()

model <- brm(as.formula(job$formula), data = rows, family = brmsfamily(job$family), chains = 0, refresh = 0, silent = 2)
compiled <- now()
fit <- update(
  model, recompile = FALSE, chains = job$chains, cores = job$cores, iter = job$warmup + job$draws, warmup = job$warmup,
  seed = job$seed, refresh = 0, silent = 2
)
fitted <- now()
print(summary(fit))
flush(stdout())
at <- now()
peak <- peak_bytes()

# Seconds of the chains themselves, shared out over the cores: the workers' start is not counted as sampling.
chains <- rstan::get_elapsed_time(fit$fit)
inside <- sum(chains) / min(job$cores, job$chains)
stats <- lapply(rstan::get_sampler_params(fit$fit, inc_warmup = TRUE), as.data.frame)
warm <- seq_len(job$warmup)
left_out <- "^(r_|z_|s_|lp__$|lprior$|Intercept)"
kept <- grep(left_out, posterior::variables(fit), value = TRUE, invert = TRUE)

tell(
  summary_at = at, import_seconds = imported - started, data_seconds = loaded - imported, compile_seconds = compiled - loaded,
  sampling_seconds = inside, sampling_wall_seconds = fitted - compiled, fit_seconds = fitted - loaded,
  steps = sum(sapply(stats, function(s) sum(s$n_leapfrog__[-warm]))),
  warmup_steps = sum(sapply(stats, function(s) sum(s$n_leapfrog__[warm]))),
  divergences = sum(sapply(stats, function(s) sum(s$divergent__[-warm]))),
  before_bytes = before, peak_bytes = peak, data_bytes = as.numeric(object.size(rows)),
  note = "rstan; memory without compiler and workers", draws = export_draws(posterior::as_draws_array(fit, variable = kept)),
  versions = versions_of(c("brms", "rstan", "StanHeaders"))
)
