# loo.R fit FOLDER: fits gpa.csv of the folder with brms, keeps the fit and its draws there.
# loo.R loo FOLDER: times loo() of that fit, the faster of two, and prints what it took and found as JSON.
suppressPackageStartupMessages(library(brms))
arguments <- commandArgs(TRUE)
folder <- arguments[2]
if (arguments[1] == "fit") {
  rows <- read.csv(file.path(folder, "gpa.csv"))
  rows$student <- factor(rows$student)
  fit <- brm(gpa ~ occasion + (1 + occasion | student), rows, chains = 4, iter = 2000, seed = 1, refresh = 0)
  saveRDS(fit, file.path(folder, "fit.rds"))
  write.csv(posterior::as_draws_df(fit), file.path(folder, "draws.csv"), row.names = FALSE)
} else {
  fit <- readRDS(file.path(folder, "fit.rds"))
  best <- NULL
  for (i in 1:2) {
    took <- system.time(found <- suppressWarnings(loo(fit, cores = 1)))
    if (is.null(best) || took[["elapsed"]] < best[["elapsed"]]) best <- took
  }
  cat(jsonlite::toJSON(list(
    seconds = best[["elapsed"]], cpu = best[["user.self"]] + best[["sys.self"]],
    elpd = found$estimates["elpd_loo", "Estimate"], se = found$estimates["elpd_loo", "SE"],
    p = found$estimates["p_loo", "Estimate"], max_k = max(found$diagnostics$pareto_k)
  ), auto_unbox = TRUE, digits = 12))
}
