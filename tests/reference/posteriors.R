# Makes full/ID.json.gz for the models named on the command line: brms 2.18 samples the model of models/ID.json.gz, four chains of
# 1000 draws after 1000 (or CHAINS of ITER, ADAPT: environment variables), with the seed 1 and, of the controls, ADAPT as adapt_delta.
# Run in tests/reference: Rscript posteriors.R mv_id mv_rescor; ITER=4000 Rscript posteriors.R me;
# ADAPT=0.98 ITER=2000 Rscript posteriors.R ar2
# ITER=2000 Rscript posteriors.R courses; ADAPT=0.95 ITER=2000 Rscript posteriors.R few_points
# few_points is models/gp with times rounded to 19 points: over the 94 points of mcycle the chains of brms do not meet (R-hat 5.3, 1113 of
# 4000 transitions divergent), as its Cholesky factor loses all digits.
# courses is a growth mixture with data and priors of its own, below: models/growth_mixture has flat priors, under which the coefficients
# of a component without rows have no posterior (four chains of brms reached 1e8).
suppressMessages({library(brms); library(jsonlite); library(posterior)})
number <- function(name, default) as.numeric(Sys.getenv(name, default))
rows <- function(name) {
  if (name != "sim") return(get(data(list = name, package = if (name == "mcycle") "MASS" else "brms", envir = environment())))
  d <- read.csv("data/sim.csv", stringsAsFactors = FALSE)
  levels <- fromJSON("data/factors.json", simplifyVector = FALSE)$sim
  for (column in names(levels)) {
    d[[column]] <- factor(d[[column]], levels = unlist(levels[[column]]$levels), ordered = levels[[column]]$ordered)
  }
  d
}
formula_of <- function(spec) {
  each <- lapply(spec$responses, function(r) do.call(bf, c(list(as.formula(r$formula)), lapply(unlist(r$dpars), as.formula), nl = r$nl)))
  whole <- Reduce(`+`, each)
  if (is.null(spec$rescor)) whole else whole + set_rescor(spec$rescor)
}
statistics <- function(fit) {
  draws <- as_draws_array(fit)
  s <- summarise_draws(draws, "mean", "sd", "mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "rhat", ~ quantile(.x, c(0.025, 0.975)))
  lapply(as.list(s), function(column) if (is.numeric(column)) signif(as.vector(column), 9) else column)
}
courses <- function() {
  set.seed(11)
  d <- data.frame(g = rep(1:24, each = 5), t = rep(0:4, 24))
  d$y <- ifelse(d$g <= 8, 4 + d$t, 0.3 * d$t) + rnorm(24, 0, 0.3)[d$g] + rnorm(24, 0, 0.1)[d$g] * d$t + rnorm(120, 0, 0.5)
  d$y <- round(d$y, 4)
  d
}
# From random starts chains stay in modes of their own (R-hat 1.75): all start where the priors have the intercepts, the rest is random
starts <- list(Intercept_mu1 = 1, Intercept_mu2 = 6, b_mu1 = as.array(0.3), b_mu2 = as.array(1), sigma1 = 1, sigma2 = 1)
priors <- function(spec) {
  given <- lapply(spec$prior, function(row) do.call(set_prior, row))
  if (length(given)) Reduce(`+`, given)
}
own <- list(courses = courses, few_points = function() transform(MASS::mcycle, times = 3 * round(times / 3)))
one <- function(name) {
  spec <- if (name == "few_points") {
    fromJSON(gzfile("models/gp.json.gz"), simplifyVector = FALSE)$spec
  } else if (name == "courses") {
    list(
      id = name, responses = list(list(formula = "y ~ t + (1 + t | g)", dpars = list(), nl = FALSE)), family = "mixture(gaussian, gaussian)",
      prior = unlist(lapply(1:2, function(k) {
        dpar <- paste0("mu", k)
        list(
          list(prior = "normal(0, 1)", class = "b", dpar = dpar), list(prior = "normal(0, 0.25)", class = "sd", dpar = dpar),
          list(prior = sprintf("normal(%d, 1)", c(1, 6)[k]), class = "Intercept", dpar = dpar)
        )
      }), recursive = FALSE)
    )
  } else fromJSON(gzfile(sprintf("models/%s.json.gz", name)), simplifyVector = FALSE)$spec
  d <- if (name %in% names(own)) own[[name]]() else rows(spec$data)
  chains <- number("CHAINS", 4); iter <- number("ITER", 1000)
  args <- list(
    formula_of(spec), data = d, family = eval(parse(text = spec$family)), prior = priors(spec), save_pars = save_pars(latent = TRUE)
  )
  compiled <- system.time(empty <- do.call(brm, c(args, chains = 0)))
  sampled <- system.time(fit <- update(
    empty, recompile = FALSE, chains = chains, iter = 1000 + iter, warmup = 1000, seed = 1, cores = 1, refresh = 500,
    init = if (name == "courses") rep(list(starts), chains) else "random", control = list(adapt_delta = number("ADAPT", 0.8))
  ))
  np <- nuts_params(fit, inc_warmup = FALSE)
  value <- function(parameter) np$Value[np$Parameter == parameter]
  c(if (name %in% names(own)) list(data = d), list(
    spec = spec, compile_s = compiled[["elapsed"]], sample_wall_s = sampled[["elapsed"]],
    chain_s = rowSums(rstan::get_elapsed_time(fit$fit)), leapfrog = mean(value("n_leapfrog__")), divergent = sum(value("divergent__")),
    stepsize = tapply(value("stepsize__"), np$Chain[np$Parameter == "stepsize__"], mean), summary = statistics(fit)
  ))
}
for (name in commandArgs(TRUE)) {
  path <- file.path(Sys.getenv("OUT", "full"), paste0(name, ".json"))
  write_json(one(name), path, digits = NA, auto_unbox = TRUE, null = "null", na = "null")
  system(paste("gzip -9nf", path))
}
