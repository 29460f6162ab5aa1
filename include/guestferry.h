/* guestferry.h - open VM disk images, move files in and out, cancel anything.
 *
 * Start with ferry_ctx_new() (ctx.h), ferry_vm_new() and ferry_launch() (vm.h), then
 * ferry_mount() and the other calls (calls.h, made from schema/), ferry_upload() and
 * ferry_download() (transfer.h), ferry_copy_in() and ferry_copy_out() (tree.h). Every ferry_X_start() gives a ferry_op (op.h). */
#ifndef GUESTFERRY_H
#define GUESTFERRY_H

#include <guestferry/calls.h>
#include <guestferry/ctx.h>
#include <guestferry/error.h>
#include <guestferry/op.h>
#include <guestferry/template.h>
#include <guestferry/transfer.h>
#include <guestferry/tree.h>
#include <guestferry/version.h>
#include <guestferry/vm.h>

#endif
