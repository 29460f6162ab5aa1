/* Slots are neither lost nor doubled when waiters are cancelled, at whatever point: tasks
 * get and put at random while others are cancelled, and in the end all slots are free. And
 * they are handed out in the order of asking, but to higher ranks before. */
#include "async/sync.h"
#include "harness/fake.h"

#include <stdlib.h>
#include <string.h>

#include <guestferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#define SLOTS 3
#define WORKERS 20

struct pool {
    ferry_sem sem;
    int inside, most, served;
};

struct worker {
    struct pool *pool;
    unsigned dice;
};

static FERRY_CO int works(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    for (;;) {
        int r = ferry_sem_get(&p->sem);
        if (r < 0)
            return 0;
        p->served++;
        if (++p->inside > p->most)
            p->most = p->inside;
        r = ferry_sleep((uint64_t)(rand_r(&w->dice) % 4));
        p->inside--;
        ferry_sem_put(&p->sem);
        if (r < 0)
            return 0;
    }
}

/* Each worker has a scope of its own, so that they are cancelled one by one. */
static FERRY_CO int storm(struct pool *p, unsigned seed)
{
    ferry_scope all, one[WORKERS];
    struct worker w[WORKERS];
    ferry_scope_open(&all, 0);
    for (int i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){p, seed + (unsigned)i};
        ferry_scope_open_root(&one[i], all.loop, &all, 0);
        fake_equal(ferry_spawn(&one[i], "works", works, &w[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        ferry_sleep((uint64_t)(rand_r(&seed) % 7));
        for (int spin = rand_r(&seed) % 3; spin > 0; spin--)
            ferry_yield();
        ferry_scope_cancel(&one[(i * 7) % WORKERS], -FERRY_ECANCELED);
    }
    for (int i = 0; i < WORKERS; i++)
        fake_equal(ferry_scope_join(&one[i]), 0);
    return ferry_scope_join(&all);
}

static FERRY_CO int no_slot_is_lost(void *arg)
{
    (void)arg;
    for (unsigned seed = 1; seed <= 100; seed++) {
        struct pool p = {0};
        ferry_sem_init(&p.sem, SLOTS);
        fake_equal(storm(&p, seed * 1000), 0);
        fake_equal(p.inside, 0);
        fake_equal(p.most, SLOTS);
        fake_check(p.served > WORKERS);
        fake_equal(p.sem.free, SLOTS);
        fake_check(ferry_list_empty(&p.sem.waiters));
    }
    return 0;
}

struct turn {
    ferry_sem *sem;
    int id, *log, *n;
};

static FERRY_CO int takes_a_turn(void *arg)
{
    struct turn *t = arg;
    fake_equal(ferry_sem_get(t->sem), 0);
    t->log[(*t->n)++] = t->id;
    fake_equal(ferry_sleep(1), 0);
    ferry_sem_put(t->sem);
    return 0;
}

static FERRY_CO int first_come_first_served(void *arg)
{
    enum { N = 10 };
    int log[N], n = 0;
    struct turn t[N];
    ferry_sem sem;
    ferry_scope s;
    (void)arg;
    ferry_sem_init(&sem, 1);
    ferry_scope_open(&s, 0);
    for (int i = 0; i < N; i++) {
        t[i] = (struct turn){&sem, i, log, &n};
        fake_equal(ferry_spawn(&s, "turn", takes_a_turn, &t[i]), 0);
    }
    fake_equal(ferry_scope_join(&s), 0);
    fake_equal(n, N);
    for (int i = 0; i < N; i++)
        fake_equal(log[i], i);
    return 0;
}

struct guest {
    ferry_sem *sem;
    char name;
    unsigned rank;
    ferry_cond leave;
    bool leaves;
};

static char came[8];

static FERRY_CO int comes(void *arg)
{
    struct guest *g = arg;
    fake_equal(ferry_sem_get_at(g->sem, g->rank), 0);
    strncat(came, &g->name, 1);
    while (!g->leaves)
        fake_equal(ferry_cond_wait(&g->leave), 0);
    ferry_sem_put_at(g->sem, g->rank);
    return 0;
}

static FERRY_CO void leaves(struct guest *g, const char *then_inside)
{
    g->leaves = true;
    ferry_cond_wake(&g->leave);
    fake_equal(ferry_sleep(1), 0);
    fake_check(strcmp(came, then_inside) == 0);
}

static FERRY_CO void all_come(ferry_scope *s, ferry_sem *sem, struct guest *g, size_t n,
                              const char *then_inside)
{
    came[0] = '\0';
    ferry_scope_open(s, 0);
    for (size_t i = 0; i < n; i++) {
        g[i].sem = sem;
        ferry_cond_init(&g[i].leave);
        fake_equal(ferry_spawn(s, "guest", comes, &g[i]), 0);
    }
    fake_equal(ferry_sleep(1), 0);
    fake_check(strcmp(came, then_inside) == 0);
}

/* Three places, of which the low leave two, the middle one. */
static FERRY_CO int higher_ranks_go_first(void *arg)
{
    enum { LOW, MIDDLE, HIGH };
    struct guest g[] = {{.name = 'a', .rank = LOW},    {.name = 'b', .rank = LOW},
                        {.name = 'M', .rank = MIDDLE}, {.name = 'X', .rank = HIGH},
                        {.name = 'N', .rank = MIDDLE}, {.name = 'Y', .rank = HIGH}};
    ferry_sem sem;
    ferry_scope s;
    (void)arg;
    ferry_sem_init_ranks(&sem, 3,
                         (const ferry_sem_rank[FERRY_SEM_RANKS]){
                             [LOW] = {.most = 3, .leaves = 2},
                             [MIDDLE] = {.most = 3, .leaves = 1},
                             [HIGH] = {.most = 3},
                         });
    all_come(&s, &sem, g, sizeof g / sizeof *g, "aMX");
    leaves(&g[2], "aMXY"); /* though N asked before */
    leaves(&g[0], "aMXY"); /* what is free now is for the highest */
    leaves(&g[3], "aMXYN");
    leaves(&g[5], "aMXYN"); /* and this for those above the lowest */
    leaves(&g[4], "aMXYNb");
    leaves(&g[1], "aMXYNb");
    fake_equal(sem.free, 3);
    return ferry_scope_join(&s);
}

/* However many of a higher rank come, they have no more than their most: what is left is for others. */
static FERRY_CO int lower_ranks_have_theirs(void *arg)
{
    enum { LOW, HIGH };
    struct guest g[] = {{.name = 'X', .rank = HIGH},
                        {.name = 'Y', .rank = HIGH},
                        {.name = 'a', .rank = LOW},
                        {.name = 'Z', .rank = HIGH},
                        {.name = 'b', .rank = LOW}};
    ferry_sem sem;
    ferry_scope s;
    (void)arg;
    ferry_sem_init_ranks(&sem, 2,
                         (const ferry_sem_rank[FERRY_SEM_RANKS]){{1, 0}, {1, 0}, {1, 0}});
    all_come(&s, &sem, g, sizeof g / sizeof *g, "Xa");
    leaves(&g[2], "Xab"); /* though Y and Z are higher, and wait */
    leaves(&g[0], "XabY");
    leaves(&g[1], "XabYZ");
    leaves(&g[3], "XabYZ");
    leaves(&g[4], "XabYZ");
    fake_equal(sem.free, 2);
    return ferry_scope_join(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_IN_TASK(no_slot_is_lost),
        TEST_IN_TASK(first_come_first_served),
        TEST_IN_TASK(higher_ranks_go_first),
        TEST_IN_TASK(lower_ranks_have_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
