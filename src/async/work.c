/* Any other work on the loop's pool: see work.h. */
#include "async/request.h"

void ferry_job_init(ferry_job *job, void (*run)(ferry_job *),
                    void (*release)(ferry_job *))
{
    *job = (ferry_job){.refs = 1, .run = run, .free = release};
}

void ferry_job_unref(ferry_job *job)
{
    if (job && --job->refs == 0)
        job->free(job);
}

static ssize_t call_job(ferry_request *q)
{
    q->job->run(q->job);
    return 0;
}

int ferry_work(ferry_job *job, enum ferry_work_pace pace)
{
    ferry_request *q = NULL;
    int r = ferry_request_begin(pace, call_job, NULL, NULL, &q);
    if (r < 0)
        return r;
    q->job = job;
    job->refs++;
    return (int)ferry_request_await(q);
}

static ssize_t call_run(ferry_request *q)
{
    q->run(q->run_arg);
    return 0;
}

int ferry_work_joined(void (*run)(void *arg), void *arg, enum ferry_work_pace pace)
{
    ferry_request *q = NULL;
    int r = ferry_request_begin(pace, call_run, NULL, NULL, &q);
    if (r < 0)
        return r;
    q->run = run;
    q->run_arg = arg;
    return ferry_request_join(q);
}
