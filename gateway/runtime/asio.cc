#include <boost/asio/impl/src.hpp>  // what BOOST_ASIO_SEPARATE_COMPILATION leaves out elsewhere
