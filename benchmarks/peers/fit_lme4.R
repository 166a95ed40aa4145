# lme4: a yardstick for time alone; it gives point estimates.
source(file.path(dirname(sub("--file=", "", grep("^--file=", commandArgs(), value = TRUE))), "job.R"))

started <- now()
suppressPackageStartupMessages(library(lme4))
imported <- now()
rows <- read_rows()
loaded <- now()
before <- peak_bytes()
formula <- as.formula(job$formula)
fit <- if (job$family == "gaussian") lmer(formula, rows) else glmer(formula, rows, family = job$family)
fitted <- now()
print(summary(fit, correlation = FALSE))
flush(stdout())

tell(
  summary_at = now(), import_seconds = imported - started, data_seconds = loaded - imported, compile_seconds = 0,
  fit_seconds = fitted - loaded, before_bytes = before, peak_bytes = peak_bytes(), data_bytes = as.numeric(object.size(rows)),
  note = "maximum likelihood: no posterior", versions = versions_of(c("lme4", "Matrix"))
)
