/* The clock on the wall of a process, moved by the seconds in the file that WALL_FILE names; see fake_clock.py.
 *
 * Preloaded, it answers in place of the C library for what tells the time of day. The file is read at each call,
 * so that a test can step the clock of a process that runs. Compiled with -DAHEAD=SECONDS, it moves by that and reads
 * no file; see moved_clock.py. Two of these libraries in one process add up. Monotonic clocks are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000LL

#ifdef AHEAD
static long long ahead(void) { return AHEAD * BILLION; }
#else
/* Nanoseconds ahead; those of the last good reading while the file is being replaced. */
static long long ahead(void) {
    static long long last = 0;
    int kept = errno;
    const char *path = getenv("WALL_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        char text[64];
        ssize_t length = read(file, text, sizeof text - 1);
        close(file);
        if (length > 0) {
            text[length] = 0;
            last = (long long)(strtold(text, NULL) * BILLION);
        }
    }
    errno = kept;
    return last;
}
#endif

#ifdef __APPLE__
static int real_gettime(clockid_t clock, struct timespec *at) { return clock_gettime(clock, at); }
#else
/* The function of the next library: of the C library, or of another library of this kind. */
static int real_gettime(clockid_t clock, struct timespec *at) {
    static int (*next)(clockid_t, struct timespec *) = NULL;
    if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return next(clock, at);
}
#endif

static int is_of_the_wall(clockid_t clock) {
#ifdef CLOCK_REALTIME_COARSE
    if (clock == CLOCK_REALTIME_COARSE) return 1;
#endif
    return clock == CLOCK_REALTIME;
}

static int shown(clockid_t clock, struct timespec *at) {
    int code = real_gettime(clock, at);
    if (code == 0 && at && is_of_the_wall(clock)) {
        long long moved = (long long)at->tv_sec * BILLION + at->tv_nsec + ahead();
        at->tv_sec = (time_t)(moved / BILLION);
        at->tv_nsec = (long)(moved % BILLION);
    }
    return code;
}

static time_t shown_time(time_t *at) {
    struct timespec now;
    shown(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

static int shown_timeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    if (!at) return 0;
    int code = shown(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = (int)(now.tv_nsec / 1000);
    return code;
}

#ifdef __APPLE__
/* dyld replaces by this table, and leaves the calls of this library itself alone. */
#define REPLACE(new, old)                                                                                 \
    __attribute__((used, section("__DATA,__interpose"))) static struct { const void *a, *b; } r_##old = { \
        (const void *)new, (const void *)old}
REPLACE(shown, clock_gettime);
REPLACE(shown_time, time);
REPLACE(shown_timeofday, gettimeofday);
#else
int clock_gettime(clockid_t clock, struct timespec *at) { return shown(clock, at); }
time_t time(time_t *at) { return shown_time(at); }
int gettimeofday(struct timeval *restrict at, void *restrict zone) { return shown_timeofday(at, zone); }
#endif
