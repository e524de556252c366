// boost.interprocess message_queue behind three C functions. A queue stays open until its process ends.

#include <boost/interprocess/ipc/message_queue.hpp>

#include <cstddef>

namespace ipc = boost::interprocess;

extern "C" void *boost_queue_open(const char *name, std::size_t messages, std::size_t size) try {
    return new ipc::message_queue(ipc::open_or_create, name, messages, size);
} catch (...) {
    return nullptr;
}

extern "C" int boost_queue_send(void *queue, const unsigned char *bytes, std::size_t size) try {
    static_cast<ipc::message_queue *>(queue)->send(bytes, size, 0);
    return 0;
} catch (...) {
    return -1;
}

extern "C" int boost_queue_receive(void *queue, unsigned char *bytes, std::size_t size) try {
    ipc::message_queue::size_type received = 0;
    unsigned int priority = 0;
    static_cast<ipc::message_queue *>(queue)->receive(bytes, size, received, priority);
    return received == size ? 0 : -1;
} catch (...) {
    return -1;
}
