/* The limit: probes by a bare epoll loop. One process, slots of 50 ms, a connection per probe that
 * is reset on close; nothing is judged but the first bytes of the answer.
 *
 *   epoll PORT PEERS INTERVAL_MS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOT_MS 50

static const char REQUEST[] = "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n";
static unsigned long good, bad;

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void begin(int poller, struct sockaddr_in *peer) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        bad++;
        return;
    }
    if (connect(fd, (struct sockaddr *)peer, sizeof *peer) < 0 && errno != EINPROGRESS) {
        bad++;
        close(fd);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static void finish(int fd, int pass) {
    struct linger linger = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
    if (pass) good++; else bad++;
}

static void advance(int fd, uint32_t events) {
    char answer[512];
    if (events & EPOLLIN) {
        ssize_t n = recv(fd, answer, sizeof answer, 0);
        if (n >= 0 || errno != EAGAIN) finish(fd, n > 12 && !memcmp(answer + 9, "200", 3));
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        finish(fd, 0);
    } else if (events & EPOLLOUT) {
        if (send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) < 0) finish(fd, 0);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    int port = atoi(argv[1]), peers = atoi(argv[2]), interval_ms = atoi(argv[3]);
    int poller = epoll_create1(EPOLL_CLOEXEC), slots = interval_ms / SLOT_MS;
    struct sockaddr_in *list = calloc(peers, sizeof *list);
    for (int i = 0; i < peers; i++) {
        list[i].sin_family = AF_INET;
        list[i].sin_port = htons(port);
        list[i].sin_addr.s_addr = htonl(0x7f010000u + (i / 250 << 8) + i % 250 + 1);
    }
    long next_ms = now_ms();
    for (int slot = 0;; slot = (slot + 1) % slots) {
        for (int i = slot; i < peers; i += slots) begin(poller, &list[i]);
        next_ms += SLOT_MS;
        for (long left_ms; (left_ms = next_ms - now_ms()) > 0;) {
            struct epoll_event events[256];
            int n = epoll_wait(poller, events, 256, left_ms);
            for (int i = 0; i < n; i++) advance(events[i].data.fd, events[i].events);
        }
    }
}
