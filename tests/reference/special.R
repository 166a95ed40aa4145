# Makes special.json.gz: brms 2.18 at points of its own (the last of a few iterations), for models of special terms.
# `log_lik`, `epred`, `linpred` as in models/; `new` is posterior_linpred for six rows of new data. `draws` also hold what brms samples
# (`z_1`, `zme_1`, `Intercept`) and `lp__`, the log posterior density with Jacobian.
# Left out: `new` where brms draws at random. Products of special variables stand before products with plain columns, because
# brms 2.18 multiplies the former with a preceding plain column when they come later.
suppressMessages({library(brms); library(jsonlite)})
set.seed(5)
n <- 24
d <- data.frame(
  x = sample(rep(0:3, length.out = n)), w = factor(sample(rep(c("a", "b", "c"), length.out = n)), ordered = TRUE),
  m = rnorm(n), z = rnorm(n), v = rnorm(n), f = factor(sample(rep(c("p", "q", "r"), length.out = n))),
  g = factor(rep(1:4, length.out = n)), sdz = runif(n, 0.1, 0.5), sdv = runif(n, 0.1, 0.5), keep = rep(c(TRUE, FALSE), n / 2), id = 1:n
)
d$zg <- rnorm(4)[d$g]; d$vg <- rnorm(4)[d$g]; d$sg <- c(0.2, 0.3, 0.1, 0.4)[d$g]
d$link <- ((d$id - 1) %/% 2) * 2 + 1
d$y <- 0.5 * d$m + rnorm(n); d$zm <- d$z; d$zm[c(3, 8)] <- NA; d$vm <- d$v; d$vm[c(2, 8, 11)] <- NA
d$em <- d$z + rnorm(n, 0, d$sdz); d$em[5] <- NA; d$p <- plogis(d$z); d$p[4] <- NA
d$o <- factor(sample(rep(1:4, length.out = n)), ordered = TRUE)
models <- list(
  mo = list(bf(y ~ mo(x, id = "a") + mo(x):mo(w) + m:mo(x, id = "a") + mo(w) * f + (mo(w) | g), sigma ~ mo(x))),
  me = list(bf(y ~ me(z, sdz):mo(x) + me(z, sdz) * m + me(v, sdv) + me(zg, sg, gr = g) + me(vg, sg, gr = g) + (me(z, sdz) || g))),
  mecor = list(bf(y ~ me(z, sdz) + me(v, sdv)) + set_mecor(FALSE)),
  mi = list(bf(y ~ mi(zm):mi(vm) + mo(x):mi(zm) + mi(zm) * m + mi(em) + (mi(zm) | g)) + bf(zm | mi() ~ mi(vm) + (1 | g)) +
    bf(vm | mi() ~ 1) + bf(em | mi(sdz) ~ m) + set_rescor(FALSE)),
  idx = list(bf(y ~ mi(zm, idx = link)) + bf(zm | mi() + subset(keep) + index(id) ~ m) +
    bf(p | mi() ~ mi(zm, idx = link), family = Beta()) + set_rescor(FALSE)),
  one = list(bf(zm | mi() + weights(sdv) ~ m)),
  cs = list(bf(o ~ cs(z * f) + (cs(1 + z) | g)), family = sratio())
)
number <- function(x) {
  if (length(dim(x)) == 3) lapply(seq_len(dim(x)[3]), function(k) signif(x[, , k], 14)) else signif(x, 14)
}
one <- function(name) {
  fit <- do.call(brm, c(models[[name]], list(
    data = d, chains = 1, iter = 30, warmup = 26, seed = 3, init = 0.3, refresh = 0, save_pars = save_pars(all = TRUE, latent = TRUE)
  )))
  draws <- as.data.frame(as_draws_df(fit))
  responses <- unname(fit$formula$responses)
  each <- function(what, ...) {
    if (is.null(responses)) return(number(what(fit, ...)))
    setNames(lapply(responses, function(r) number(what(fit, resp = r, ...))), responses)
  }
  new <- d[1:6, ]
  new$z <- new$z + 1; new$x <- rev(new$x); new$zm <- 1:6 / 4; new$vm <- 6:1 / 5; new$em <- 0.5; new$p <- 0.5
  list(
    draws = lapply(draws[, !grepl("^(\\.|Xme[12]\\[|L_|Lme_)", names(draws))], signif, 16), log_lik = each(log_lik), epred = each(posterior_epred),
    linpred = each(posterior_linpred), new = each(posterior_linpred, newdata = new), prior_summary = as.data.frame(prior_summary(fit))
  )
}
write_json(list(data = d, models = sapply(names(models), one, simplify = FALSE)), "special.json", digits = NA, auto_unbox = TRUE, na = "null")
