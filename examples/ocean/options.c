/* Options: names, bounds, and one line for each mistake. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcspool.h"

static const char *const USAGE =
    "usage: kernel [--years N] [--longer K] [--steps-a-day N] [--checkpoint-every STEPS]\n"
    "              [--albedo A] [--dtype f8|f4] [--verify] [--domain MASK]\n"
    "       kernel --check index [--dtype f8|i8|u4] ...\n"
    "\n"
    "Mean sea-surface temperature of the last year, in degrees Celsius, for each sea cell of this\n"
    "subtask's block. Under dcrun the block and the mask come from the job; by hand it is the whole of MASK.\n"
    "\n"
    "  --years N                 years to step through (60; with --check index 1)\n"
    "  --longer K                K times as many years\n"
    "  --steps-a-day N           steps a day (2)\n"
    "  --checkpoint-every STEPS  a checkpoint at least that often (7300, ten years);\n"
    "                            0: only when the library finds it due\n"
    "  --albedo A                constant, 0 to 1; without it by latitude and ice\n"
    "  --check index             the result is each cell's place in the grid, row * NX + column\n"
    "  --dtype T                 type of the result's values (f8)\n"
    "  --verify                  needs --albedo: compare with the closed form; status 1 where it is missed\n";

static void mistake(const char *what, const char *value)
{
    fprintf(stderr, "kernel: %s%s%s\n%s", what, value ? " " : "", value ? value : "", USAGE);
    exit(2);
}

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] < '0' || text[0] > '9' || value < min || value > max)
        mistake(name, "takes a whole number in its range");
    return value;
}

static double fraction(const char *name, const char *text)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= 0.0 && value <= 1.0))
        mistake(name, "takes a number from 0 to 1");
    return value;
}

static int dtype(const char *text)
{
    static const struct { const char *name; int dtype; } known[] = {
        {"f8", DC_F8}, {"f4", DC_F4}, {"i8", DC_I8}, {"u4", DC_U4},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i].name) == 0)
            return known[i].dtype;
    mistake("--dtype takes f8, f4, i8 or u4, not", text);
    return 0;
}

void read_options(struct options *o, int argc, char **argv)
{
    *o = (struct options){
        .longer = 1, .steps_a_day = 2, .checkpoint_every = 7300, .albedo = -1.0, .dtype = DC_F8,
    };
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--help") == 0) {
            fputs(USAGE, stdout);
            exit(0);
        }
        if (strcmp(name, "--verify") == 0) {
            o->verify = 1;
            continue;
        }
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strncmp(name, "--", 2) != 0)
            mistake("unknown argument", name);
        if (!value)
            mistake("unknown option, or one without its value:", name);
        i++;
        if (strcmp(name, "--years") == 0)
            o->years = number(name, value, 1, 1000000);
        else if (strcmp(name, "--longer") == 0)
            o->longer = number(name, value, 1, 1000000);
        else if (strcmp(name, "--steps-a-day") == 0)
            o->steps_a_day = number(name, value, 1, 10000);
        else if (strcmp(name, "--checkpoint-every") == 0)
            o->checkpoint_every = number(name, value, 0, UINT64_MAX);
        else if (strcmp(name, "--albedo") == 0)
            o->albedo = fraction(name, value);
        else if (strcmp(name, "--dtype") == 0)
            o->dtype = dtype(value);
        else if (strcmp(name, "--domain") == 0)
            o->domain = value;
        else if (strcmp(name, "--check") == 0 && strcmp(value, "index") == 0)
            o->check_index = 1;
        else
            mistake("unknown option", name);
    }
    if (o->years == 0)
        o->years = o->check_index ? 1 : 60;
    if (o->verify && (o->albedo < 0.0 || o->check_index))
        mistake("--verify needs --albedo, and no --check", NULL);
    if (!o->check_index && o->dtype != DC_F8 && o->dtype != DC_F4)
        mistake("temperatures are f8 or f4", NULL);
    if (o->check_index && o->dtype == DC_F4)
        mistake("an index is f8, i8 or u4", NULL);
}
