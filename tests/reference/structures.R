# Makes structures.json.gz: what brms 2.18 computes at given points of the parameters for gp() and residual structures (data: sim).
# As in models/, with `new` the expected response for rows of new data. Left out, because brms 2.18 is not right there:
# epred of error sar and of student sar (an error), the predictor of lagged latent residuals (it leaves out the lags that its Stan program has),
# approximate gp() at new data that are wider than the training data (it takes the basis' interval from them), and gp() with a factor
# as by after another gp() or with cmc = FALSE (it overwrites what was added before).
suppressMessages({library(brms); library(jsonlite)})
set.seed(2)
levels <- fromJSON("data/factors.json", simplifyVector = FALSE)$sim
sim <- read.csv("data/sim.csv")
for (v in names(levels)) sim[[v]] <- factor(sim[[v]], levels = unlist(levels[[v]]$levels), ordered = isTRUE(levels[[v]]$ordered))
near <- function(n) 1 * (abs(outer(1:n, 1:n, "-")) == 1)
W <- near(9); dimnames(W) <- list(paste0("g", 1:9), paste0("g", 1:9))
data2 <- list(W = W, V = diag(90) * 0.7 + 0.3, M = near(90) / rowSums(near(90)))

# one parameter: Stan's name, its elements, and how three draws of each are made
real <- function(n) rnorm(n, 0, 0.5); pos <- function(n) exp(rnorm(n, 0, 0.4)); unit <- function(n) runif(n, 0.2, 0.8)
small <- function(n) pos(n) / 4; lag <- function(n) runif(n, -0.6, 0.6); df <- function(n) 3 + pos(n)
P <- function(name, k = NULL, f = real) {
  names <- if (is.null(k)) name else paste0(name, ".", k)
  matrix(f(3 * length(names)), 3, dimnames = list(NULL, names))
}
# a fit whose draws are given: written as CmdStan writes them, read by rstan, renamed by brms
given <- function(formula, pars, family) {
  fit <- brm(formula, sim, family = family, data2 = data2, empty = TRUE)
  head <- c("lp__", "accept_stat__", "stepsize__", "treedepth__", "n_leapfrog__", "divergent__", "energy__")
  m <- cbind(matrix(0, 3, 7, dimnames = list(NULL, head)), pars)
  notes <- c("stan_version_major = 2", "stan_version_minor = 21", "stan_version_patch = 0", "model = m", "method = sample (Default)",
    "  sample", "    num_samples = 3", "    num_warmup = 0", "    save_warmup = 0 (Default)", "    thin = 1 (Default)",
    "    algorithm = hmc (Default)", "      hmc", "        engine = nuts (Default)", "          nuts", "            max_depth = 10 (Default)",
    "        metric = diag_e (Default)", "        stepsize = 1 (Default)", "        stepsize_jitter = 0 (Default)", "id = 1", "output",
    "  file = x.csv")
  rows <- apply(m, 1, function(r) paste(format(r, digits = 15, trim = TRUE), collapse = ","))
  file <- tempfile(fileext = ".csv")
  writeLines(c(paste("#", notes), paste(colnames(m), collapse = ","), "# Adaptation terminated", "# Step size = 1",
    "# Diagonal elements of inverse mass matrix:", "# 1", rows, "#  Elapsed Time: 1 seconds (Warm-up)",
    "#                1 seconds (Sampling)", "#                2 seconds (Total)"), file)
  fit$fit <- suppressWarnings(rstan::read_stan_csv(file))
  brms:::rename_pars(fit)
}
slope <- function(...) {
  p <- cbind(P("b", 1), P("Intercept"), ...)
  cbind(p, b_Intercept = p[, "Intercept"] - p[, "b.1"] * mean(sim$x))
}
flat <- function(...) { p <- cbind(P("Intercept"), ...); cbind(p, b_Intercept = p[, "Intercept"]) }
out <- list()
add <- function(id, formula, pars, family = "gaussian()", dpars = list(), new = NULL, epred = TRUE) {
  f <- if (length(dpars)) bf(as.formula(formula), as.formula(dpars[[1]])) else bf(as.formula(formula))
  fit <- given(f, pars, eval(parse(text = family)))
  d <- as.data.frame(as_draws_df(fit))
  d <- d[setdiff(names(d), c(".chain", ".iteration", ".draw", "lp__", grep("^Intercept", names(d), value = TRUE)))]
  spec <- list(responses = list(list(formula = formula, dpars = dpars, nl = FALSE, family = NULL)), family = family, rescor = NULL)
  r <- list(spec = spec, draws = as.list(d), prior_summary = as.data.frame(unclass(prior_summary(fit))), log_lik = log_lik(fit))
  if (epred) r$epred <- posterior_epred(fit)
  r$bare <- posterior_linpred(fit, incl_autocor = FALSE)
  if (!is.null(new)) r <- c(r, list(newdata = as.list(new), new = posterior_epred(fit, newdata = new)))
  out[[id]] <<- r
}

size <- function(formula, name) make_standata(as.formula(formula), sim)[[name]]
f <- "y ~ gp(x, by = f3) + gp(z, by = w) + gp(x, z, iso = FALSE)"
n <- size(f, "Nsubgp_1")
add("gp_exact", f, flat(P("sigma", f = pos), P("sdgp_1", 1:3, pos), P("lscale_1", paste0(1:3, ".1"), small), P("zgp_1_1", 1:n[1]),
  P("zgp_1_2", 1:n[2]), P("zgp_1_3", 1:n[3]), P("sdgp_2", 1, pos), P("lscale_2", "1.1", small), P("zgp_2", 1:size(f, "Nsubgp_2")),
  P("sdgp_3", 1, pos), P("lscale_3", c("1.1", "1.2"), small), P("zgp_3", 1:size(f, "Nsubgp_3"))))
new <- data.frame(x = c(-0.5, 0.3, 1.1), z = c(0.1, -0.4, 0.7), sex = c("m", "f", "m"), w = 1)
add("gp_approx", "y ~ gp(z, by = sex, k = 4, c = 1.5) + gp(x, k = 5, c = 5/4) + gp(x, z, k = 3, c = 5/4, iso = FALSE)",
  flat(P("sigma", f = pos), P("sdgp_1", 1:2, pos), P("lscale_1", c("1.1", "2.1"), small), P("zgp_1_1", 1:4), P("zgp_1_2", 1:4),
    P("sdgp_2", 1, pos), P("lscale_2", "1.1", small), P("zgp_2", 1:5), P("sdgp_3", 1, pos), P("lscale_3", c("1.1", "1.2"), small),
    P("zgp_3", 1:9)), new = new)
add("gp_plain", "y ~ gp(x, w, k = 3, c = 5/4, scale = FALSE, gr = FALSE)",
  flat(P("sigma", f = pos), P("sdgp_1", 1, pos), P("lscale_1", "1.1", small), P("zgp_1", 1:9)))
sigma <- P("sigma", f = pos)
add("arma21", "y ~ x + arma(t, person, p = 2, q = 1)", slope(P("ar", 1:2, lag), P("ma", 1, lag), sigma))
add("arma_cov", "y ~ x + arma(t, person, cov = TRUE)", slope(P("ar", 1, lag), P("ma", 1, lag), sigma))
add("ar_se", "y | se(se, sigma = TRUE) ~ x + ar(t, person, cov = TRUE)", slope(P("ar", 1, lag), sigma))
add("cosy", "y ~ x + cosy(t, person)", slope(P("cosy", f = unit), P("b_sigma", 1), P("Intercept_sigma"), P("b_sigma_Intercept"),
  P("nu", f = df)), "student()", list("sigma ~ x"))
add("fcor", "y ~ x + fcor(V)", slope(sigma))
add("sar_lag", "y ~ x + sar(M)", slope(P("lagsar", f = unit), sigma))
add("sar_error", "y ~ x + sar(M, type = 'error')", slope(P("errorsar", f = unit), sigma), epred = FALSE)
add("sar_student", "y ~ x + sar(M)", slope(P("lagsar", f = unit), sigma, P("nu", f = df)), "student()", epred = FALSE)
for (type in c("escar", "esicar", "icar", "bym2")) {
  own <- list(escar = P("car", f = unit), bym2 = P("rhocar", f = unit))[[type]]
  add(type, sprintf("ycount ~ x + car(W, gr = g, type = '%s')", type), slope(P("sdcar", f = pos), own, P("rcar", 1:9)), "poisson()")
}
add("latent", "ycount ~ x + arma(t, person, cov = TRUE)", slope(P("sderr", f = pos), P("ar", 1, lag), P("ma", 1, lag), P("err", 1:90)),
  "poisson()")
write(toJSON(out, digits = 12, auto_unbox = TRUE, null = "null"), "structures.json")
