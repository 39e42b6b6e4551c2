/* Times other people's predictors row by row without Python between; see speed.py. */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MOST_FEATURES 4096

/* As Treelite's generated header has it. */
union Entry {
  int missing;
  double fvalue;
  int qvalue;
};
typedef void (*treelite_predict)(union Entry *, int, double *);
typedef int (*lightgbm_single)(void *, const void *, int64_t *, double *);
typedef int (*lightgbm_many)(void *, const void *, int, int32_t, int32_t, int, int, int, int, const char *, int64_t *,
                             double *);

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void treelite_row(treelite_predict *learners, int count, const float *row, int width, double *out) {
  union Entry entries[MOST_FEATURES];
  for (int i = 0; i < width; i++) {
    if (row[i] != row[i]) {
      entries[i].missing = -1;
    } else {
      entries[i].fvalue = row[i];
    }
  }
  for (int k = 0; k < count; k++) {
    out[k] = 0;
    learners[k](entries, 1, &out[k]);
  }
}

/* `batch` rows are timed together; nanoseconds per batch. */
void time_treelite(treelite_predict *learners, int count, const float *rows, int batches, int batch, int width,
                   int64_t *nanoseconds, double *out) {
  for (int at = 0; at < batches; at++) {
    int64_t start = now();
    for (int i = 0; i < batch; i++, rows += width, out += count) treelite_row(learners, count, rows, width, out);
    nanoseconds[at] = now() - start;
  }
}

void time_lightgbm_rows(lightgbm_single predict, void **learners, int count, const float *rows, int number, int width,
                        int64_t *nanoseconds, double *out) {
  int64_t length;
  for (int at = 0; at < number; at++, rows += width) {
    int64_t start = now();
    for (int k = 0; k < count; k++) predict(learners[k], rows, &length, out++);
    nanoseconds[at] = now() - start;
  }
}

/* `out` has a batch for one learner after the other; float32, row by row, raw scores. */
void time_lightgbm_batches(lightgbm_many predict, void **learners, int count, const float *rows, int batches,
                           int batch, int width, int64_t *nanoseconds, double *out) {
  int64_t length;
  for (int at = 0; at < batches; at++, rows += (size_t)batch * width) {
    int64_t start = now();
    for (int k = 0; k < count; k++, out += batch)
      predict(learners[k], rows, 0, batch, width, 1, 1, 0, -1, "num_threads=1", &length, out);
    nanoseconds[at] = now() - start;
  }
}
