# What the R peers share: reading the job, timing, and the line of JSON that is printed last (see job.py).
suppressPackageStartupMessages(library(jsonlite))

job <- fromJSON(commandArgs(TRUE)[1], simplifyVector = FALSE)

now <- function() as.numeric(Sys.time())

read_npy <- function(path) {
  con <- file(path, "rb")
  on.exit(close(con))
  readBin(con, "raw", 8)
  header <- readChar(con, readBin(con, "integer", size = 2, signed = FALSE, endian = "little"), useBytes = TRUE)
  n <- as.integer(sub(".*\\((\\d+),.*", "\\1", header))
  kind <- if (grepl("<f8", header, fixed = TRUE)) "double" else "integer"
  readBin(con, kind, n, size = 8, endian = "little")
}

read_rows <- function() {
  if (job$data$format == "npy") return(as.data.frame(lapply(job$data$columns, read_npy)))
  rows <- read.csv(job$data$path, colClasses = setNames(rep("character", length(job$data$factors)), names(job$data$factors)))
  for (name in names(job$data$factors)) rows[[name]] <- factor(rows[[name]], levels = unlist(job$data$factors[[name]]))
  rows
}

peak_bytes <- function() {
  if (!file.exists("/proc/self/status")) return(NULL)
  line <- grep("^VmHWM", readLines("/proc/self/status"), value = TRUE)
  1024 * as.numeric(gsub("\\D", "", line))
}

# Doubles in the order variable, chain, draw; `draws` is an array (draw, chain, variable).
export_draws <- function(draws) {
  path <- file.path(job$folder, "draws.f64")
  con <- file(path, "wb")
  on.exit(close(con))
  writeBin(as.vector(draws), con, size = 8, endian = "little")
  list(file = path, variables = as.list(dimnames(draws)[[3]]), shape = dim(draws)[c(2, 1, 3)])
}

versions_of <- function(packages) {
  c(list(R = as.character(getRversion())), sapply(packages, function(p) as.character(packageVersion(p)), simplify = FALSE))
}

tell <- function(...) cat(toJSON(list(...), auto_unbox = TRUE, digits = NA, null = "null"), "\n", sep = "")
